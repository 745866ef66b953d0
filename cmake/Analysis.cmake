# Static analysis that is no build of its own (clang-tidy is the preset `tidy`): `cmake --build --preset release --target cppcheck`
# fails for whatever it finds in this tree. Not a part of `all`, nor needed for anything.
find_program(KORTEX_CPPCHECK cppcheck DOC "cppcheck, for the target of that name")
if(KORTEX_CPPCHECK)
  add_custom_target(cppcheck
    COMMAND ${KORTEX_CPPCHECK} --project=${CMAKE_BINARY_DIR}/compile_commands.json --library=boost -D__${CMAKE_SYSTEM_PROCESSOR}__
      --enable=warning,performance,portability --inline-suppr --suppressions-list=${CMAKE_CURRENT_SOURCE_DIR}/cmake/cppcheck-suppressions.txt
      --quiet --error-exitcode=1
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} USES_TERMINAL VERBATIM)
endif()
