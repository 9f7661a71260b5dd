#include "tests/load/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value after 'label' in /proc/PID/NAME, where each line is "Label: value". */
static uint64_t process_read(pid_t pid, const char *name, const char *label)
{
	char line[256];
	unsigned long long value = 0;
	FILE *file;

	snprintf(line, sizeof line, "/proc/%d/%s", (int)pid, name);
	file = fopen(line, "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, label, strlen(label)) == 0) {
			value = strtoull(line + strlen(label), NULL, 10);
			break;
		}
	}
	fclose(file);
	return value;
}

uint64_t process_pss(pid_t pid)
{
	return process_read(pid, "smaps_rollup", "Pss:") * 1024;
}

uint64_t process_threads(pid_t pid)
{
	return process_read(pid, "status", "Threads:");
}

/*
 * The kernel scales utime and stime so that their sum is the precise run time of the thread group (cputime_adjust()),
 * so nothing is gained from the schedstat files, which forget threads that ended.
 */
uint64_t process_cpu_ns(pid_t pid)
{
	char text[1024];
	unsigned long long user = 0;
	unsigned long long system = 0;
	const char *after_name;
	FILE *file;
	size_t size;

	snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
	file = fopen(text, "re");
	if (file == NULL)
		return 0;
	size = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[size] = '\0';
	after_name = strrchr(text, ')');
	if (after_name == NULL ||
		sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return 0;
	return (user + system) * (1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK));
}
