# The manual page and the completion scripts are the binary's own words: they are asked of it once it is built.
set(documents ${CMAKE_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})
set(made ${documents}/kortex-cli.1 ${documents}/kortex-cli.bash ${documents}/_kortex-cli ${documents}/kortex-cli.fish)
if(CMAKE_CROSSCOMPILING)
  add_custom_target(kortex-documents)
else()
  add_custom_command(OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${documents}
    COMMAND kortex-cli __manual > ${documents}/kortex-cli.1
    COMMAND kortex-cli completion bash > ${documents}/kortex-cli.bash
    COMMAND kortex-cli completion zsh > ${documents}/_kortex-cli
    COMMAND kortex-cli completion fish > ${documents}/kortex-cli.fish
    DEPENDS kortex-cli VERBATIM)
  add_custom_target(kortex-documents ALL DEPENDS ${made})
  find_program(KORTEX_GZIP gzip)
  foreach(page ${documents}/kortex-cli.1 ${PROJECT_SOURCE_DIR}/sdk/check/kortex-runtime-check.1)
    get_filename_component(component ${page} NAME_WE)
    if(KORTEX_GZIP)
      install(CODE "execute_process(COMMAND ${KORTEX_GZIP} -9 -n -c ${page} OUTPUT_FILE ${documents}/${component}.1.gz COMMAND_ERROR_IS_FATAL ANY)"
        COMPONENT ${component})
      install(FILES ${documents}/${component}.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
    else()
      install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
    endif()
  endforeach()
  install(FILES ${documents}/kortex-cli.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME kortex-cli COMPONENT kortex-cli)
  install(FILES ${documents}/_kortex-cli DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT kortex-cli)
  install(FILES ${documents}/kortex-cli.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT kortex-cli)
endif()
