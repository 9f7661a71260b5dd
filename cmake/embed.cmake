# cmake -D FILE=... -D NAME=... -D HEADER=... -D OUT=... -P embed.cmake: writes the bytes of FILE as the C array NAME, and NAME_size.
file(READ ${FILE} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n\t" bytes "${bytes}")
file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst unsigned char ${NAME}[] = {\n\t${bytes}\n};\nconst size_t ${NAME}_size = sizeof ${NAME};\n")
