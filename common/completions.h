/*
 * Completions of a program's options for shells, made from the option table, so that they know what the program knows.
 *
 * They are printed as a script, which the installation puts where the shell looks for it. Options are completed with two
 * dashes, choices with their words, files with files, and what is no option, where the program takes a host, with hosts.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef COMMON_COMPLETIONS_H
#define COMMON_COMPLETIONS_H

#include <stdbool.h>
#include <stdio.h>

struct option;

/* The shells, ended by NULL: bash, zsh, fish. Their places in it are the choices below. */
extern const char *const completions_shells[];

/* Prints the script of a shell; options without help are left out. */
void completions_print(int shell, const char *program, const struct option *table, bool takes_host, FILE *out);

#endif
