/*
 * docs/openapi.yaml, built into the program.
 *
 * Threads: any; constant.
 */
#ifndef TCPSERVER_DOORS_HTTP_OPENAPI_H
#define TCPSERVER_DOORS_HTTP_OPENAPI_H

#include <stddef.h>

extern const unsigned char http_openapi_yaml[];
extern const size_t http_openapi_yaml_size;

#endif
