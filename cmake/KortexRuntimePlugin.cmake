# Builds runtime plugins. Part of the package kortex-runtime; used in this tree and outside it alike.
#
#   find_package(kortex-runtime 1.0 REQUIRED)
#   kortex_add_runtime_plugin(echo SOURCES src/echo.cpp [LINK libraries...])
#
# makes the target kortex-runtime-echo and the file libkortex-runtime-echo.so (on macOS .dylib), in
# KORTEX_RUNTIME_OUTPUT_DIRECTORY when that is set, and installs it to <libdir>/kortex/runtimes as the
# component kortex-runtime-echo. KORTEX_RUNTIME_VERSION is defined in its sources as the project's version.
include_guard(GLOBAL)
include(GNUInstallDirs)

function(kortex_add_runtime_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  if(NOT name MATCHES "^[a-z][a-z0-9-]*$")
    message(FATAL_ERROR "kortex_add_runtime_plugin: '${name}' is no runtime name: lower-case letters, digits and '-'")
  endif()
  if(NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kortex_add_runtime_plugin(${name}): expected SOURCES file... [LINK library...]")
  endif()
  if(NOT PROJECT_VERSION)
    message(FATAL_ERROR "kortex_add_runtime_plugin(${name}): project(${PROJECT_NAME}) needs a VERSION: it is the plugin's")
  endif()

  set(suffix .so)
  if(APPLE)
    set(suffix .dylib)
  endif()
  set(target kortex-runtime-${name})
  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE kortex::runtime ${arg_LINK})
  target_compile_definitions(${target} PRIVATE "KORTEX_RUNTIME_VERSION=\"${PROJECT_VERSION}\"")
  set_target_properties(${target} PROPERTIES
    PREFIX lib SUFFIX ${suffix}
    POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("CXX" IN_LIST languages)
    target_compile_features(${target} PRIVATE cxx_std_17)
  endif()
  if("C" IN_LIST languages)
    target_compile_features(${target} PRIVATE c_std_11)
  endif()
  if(KORTEX_RUNTIME_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${KORTEX_RUNTIME_OUTPUT_DIRECTORY})
  endif()
  if(TARGET kortex_options) # in this tree: the project's warnings and sanitizers
    target_link_libraries(${target} PRIVATE kortex_options)
  endif()

  set(exports map)
  if(APPLE)
    set(exports exp)
  endif()
  # One exported symbol, whatever is linked in.
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/runtime.${exports})
  if(NOT EXISTS ${map})
    set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../sdk/runtime.${exports})
  endif()
  if(APPLE)
    target_link_options(${target} PRIVATE "LINKER:-exported_symbols_list,${map}" LINKER:-dead_strip)
  else()
    target_link_options(${target} PRIVATE "LINKER:--version-script=${map}" LINKER:-z,relro,-z,now,-z,noexecstack)
  endif()
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map})

  # A sanitizer's functions come from the program, and its C++ library must be the one the program has.
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  set(flags "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS} ${CMAKE_C_FLAGS_${config}} ${CMAKE_CXX_FLAGS_${config}} ${CMAKE_MODULE_LINKER_FLAGS}")
  if(NOT APPLE AND NOT KORTEX_SANITIZE AND NOT flags MATCHES "-fsanitize")
    # Missing symbols fail here and not at a user's; the file ships alone, and loads in a tenth of the time that
    # looking up libstdc++.so takes, less still without the parts of it that nothing uses.
    target_link_options(${target} PRIVATE LINKER:-z,defs LINKER:--gc-sections
      $<$<LINK_LANGUAGE:CXX>:-static-libstdc++> -static-libgcc)
  endif()

  install(TARGETS ${target}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/kortex/runtimes COMPONENT ${target})
endfunction()

# A ctest entry that runs the conformance checker on the plugin, where the checker is installed:
#   kortex_add_runtime_check(echo [NAME other-name] [argument of kortex-runtime-check...])
# A backend that is not usable on this machine is a skip.
function(kortex_add_runtime_check name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "NAME" "")
  if(NOT arg_NAME)
    set(arg_NAME ${name})
  endif()
  if(TARGET kortex-runtime-check) # in this tree
    set(check $<TARGET_FILE:kortex-runtime-check>)
  else()
    find_program(KORTEX_RUNTIME_CHECK kortex-runtime-check)
    if(NOT KORTEX_RUNTIME_CHECK)
      message(STATUS "kortex-runtime-check is not installed: no conformance test for runtime '${name}'")
      return()
    endif()
    set(check ${KORTEX_RUNTIME_CHECK})
  endif()
  add_test(NAME kortex-runtime-check.${arg_NAME}
    COMMAND ${check} $<TARGET_FILE:kortex-runtime-${name}> ${arg_UNPARSED_ARGUMENTS})
  set_tests_properties(kortex-runtime-check.${arg_NAME} PROPERTIES LABELS check SKIP_RETURN_CODE 77 TIMEOUT 600)
  if(KORTEX_SANITIZE) # a crash must stay one
    set_tests_properties(kortex-runtime-check.${arg_NAME} PROPERTIES
      ENVIRONMENT "ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_abort=0:detect_leaks=0")
  endif()
endfunction()
