# tcpchat_completions(program): completions for bash, zsh and fish, as the built program prints them, and where shells look.
#
# Not under a sanitizer, where a program may not start while nothing but the build runs.
function(tcpchat_completions program)
	if(TCPCHAT_SANITIZE)
		return()
	endif()
	set(folder ${CMAKE_CURRENT_BINARY_DIR}/completions)
	set(files)
	foreach(shell bash zsh fish)
		set(name ${program})
		if(shell STREQUAL zsh)
			set(name _${program})
		elseif(shell STREQUAL fish)
			set(name ${program}.fish)
		endif()
		add_custom_command(OUTPUT ${folder}/${shell}/${name}
			COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}/${shell}
			COMMAND ${program} --completions ${shell} > ${folder}/${shell}/${name}
			DEPENDS ${program} COMMENT "Completions of ${program} for ${shell}")
		list(APPEND files ${folder}/${shell}/${name})
	endforeach()
	add_custom_target(${program}_completions ALL DEPENDS ${files})
	install(FILES ${folder}/bash/${program} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
	install(FILES ${folder}/zsh/_${program} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
	install(FILES ${folder}/fish/${program}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endfunction()
