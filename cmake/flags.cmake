# One place for how our C is compiled. Every target of ours links tcpchat_flags.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)

add_library(tcpchat_flags INTERFACE)
target_include_directories(tcpchat_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(tcpchat_flags INTERFACE _GNU_SOURCE TCPCHAT_VERSION="${PROJECT_VERSION}")
target_link_libraries(tcpchat_flags INTERFACE Threads::Threads)
# assert() states what only our own bug could break; it stays on in every build.
target_compile_options(tcpchat_flags INTERFACE -UNDEBUG
	-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes
	-Wvla -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual -Wwrite-strings -fno-common -fstack-protector-strong)
# No paths of the machine that built them in the programs: sources are named from the top of the tree.
target_compile_options(tcpchat_flags INTERFACE "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=" "-ffile-prefix-map=${CMAKE_BINARY_DIR}=.")
target_link_options(tcpchat_flags INTERFACE -pie -Wl,-z,relro,-z,now)
if(CMAKE_C_COMPILER_ID MATCHES Clang)
	target_compile_options(tcpchat_flags INTERFACE -Wthread-safety -Wthread-safety-beta)
endif()
if(TCPCHAT_WERROR)
	target_compile_options(tcpchat_flags INTERFACE -Werror)
endif()
if(TCPCHAT_SANITIZE)
	target_compile_options(tcpchat_flags INTERFACE -fsanitize=${TCPCHAT_SANITIZE} -fno-omit-frame-pointer)
	target_link_options(tcpchat_flags INTERFACE -fsanitize=${TCPCHAT_SANITIZE})
else()
	target_compile_options(tcpchat_flags INTERFACE -U_FORTIFY_SOURCE $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()

# A library of ours: its name, its sources, its public headers, and what it may include.
function(tcpchat_library name)
	cmake_parse_arguments(PARSE_ARGV 1 library "" "" "SOURCES;HEADERS;LINKS")
	add_library(${name} STATIC ${library_SOURCES})
	target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${library_HEADERS})
	set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
	target_link_libraries(${name} PUBLIC tcpchat_flags ${library_LINKS})
endfunction()

# More of the same.
function(tcpchat_add_to_library name)
	cmake_parse_arguments(PARSE_ARGV 1 library "" "" "SOURCES;HEADERS;LINKS")
	target_sources(${name} PRIVATE ${library_SOURCES} PUBLIC FILE_SET HEADERS FILES ${library_HEADERS})
	target_link_libraries(${name} PUBLIC ${library_LINKS})
endfunction()
