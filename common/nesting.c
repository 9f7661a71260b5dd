#include "common/nesting.h"

bool nesting_is_within(const char *json, size_t size, size_t most)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size && depth <= most; i++) {
		if (in_string && json[i] == '\\')
			i++;
		else if (json[i] == '"')
			in_string = !in_string;
		else if (!in_string && (json[i] == '{' || json[i] == '['))
			depth++;
		else if (!in_string && depth > 0 && (json[i] == '}' || json[i] == ']'))
			depth--;
	}
	return depth <= most;
}
