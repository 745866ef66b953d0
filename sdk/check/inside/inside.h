#pragma once

#include <stddef.h>

/* Whole or not at all; ends the program when it cannot be written. */
void write_file(const char *directory, const char *name, const void *bytes, size_t size);

/* Does what words[0] names and tells in `report` what became of it: lines "NAME VALUE". */
void attempt(char **words, char *report, size_t size);
