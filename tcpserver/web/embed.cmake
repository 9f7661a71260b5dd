# cmake -D FOLDER=... -D OUT=files.c -P embed.cmake: writes the files of the page as C (files.h), each with an ETag of its content.
#
# The files are served without comments, empty lines, and spaces that mean nothing; otherwise as they are.
set(names chat.html chat.css chat.mjs)
set(paths / /chat.css /chat.mjs)
set(types text/html text/css text/javascript)

set(arrays "")
set(table "")
foreach(name path type IN ZIP_LISTS names paths types)
	file(READ ${FOLDER}/${name} text)
	string(REGEX REPLACE "(^|\n)/[*]([^*]|[*][^/])*[*]/\n" "\\1" text "${text}")
	string(REGEX REPLACE "\n\t*//[^\n]*" "" text "${text}")
	string(REGEX REPLACE "\n[\n\t]*" "\n" text "${text}")
	if(name STREQUAL chat.css)
		string(REGEX REPLACE ":[ ]" ":" text "${text}")
		string(REGEX REPLACE "[\n ]*([;{}>,])[\n ]*" "\\1" text "${text}")
	endif()
	string(HEX "${text}" bytes)
	string(SHA256 hash "${text}")
	string(SUBSTRING ${hash} 0 32 hash)
	string(MAKE_C_IDENTIFIER ${name} variable)
	string(REGEX REPLACE "(................)" "\\1\n\t" bytes "${bytes}")
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
	string(APPEND arrays "static const unsigned char ${variable}[] = {\n\t${bytes}\n};\n\n")
	string(APPEND table "\t{\"${path}\", \"${type}; charset=utf-8\", \"\\\"${hash}\\\"\", (const char *)${variable}, sizeof ${variable}},\n")
endforeach()

file(WRITE ${OUT} "#include \"tcpserver/web/files.h\"\n\n${arrays}const struct web_file web_files[WEB_FILES] = {\n${table}};\n")
