# Two INTERFACE targets: what every target is compiled with, and the warnings.
# Standard: C++20 without extensions, restricted to what clang 14 also takes (clangd, clang-tidy).
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# Where it is built says nothing about what is built: two builds give the same bytes.
add_compile_options("$<$<CONFIG:RelWithDebInfo,Release,MinSizeRel>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.;-ffile-prefix-map=${PROJECT_BINARY_DIR}=.>")

include(CheckPIESupported)
check_pie_supported()

add_library(kortex_warnings INTERFACE)
target_compile_options(kortex_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wcast-align -Wimplicit-fallthrough -Wformat=2
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wlogical-op -Wduplicated-cond -Wsuggest-override>
  # -Werror for developers only: a packager's newer compiler must not break the build.
  $<$<BOOL:${KORTEX_DEVELOPER}>:-Werror>)

add_library(kortex_options INTERFACE)
target_link_libraries(kortex_options INTERFACE kortex_warnings)
# What makes a mistake a crash instead of a way in; tests/hardening_test.py reads it off the files. With shipped builds only: what
# costs time, and needs an optimizer. -fcf-protection counts where the system's own libraries have it, too, which Debian's have not.
include(CheckCCompilerFlag)
set(KORTEX_HARDENING "")
foreach(flag -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "KORTEX_HAS${flag}" known)
  check_c_compiler_flag(${flag} ${known})
  if(${known})
    list(APPEND KORTEX_HARDENING ${flag})
  endif()
endforeach()
target_compile_options(kortex_options INTERFACE -fstack-protector-strong
  "$<$<CONFIG:RelWithDebInfo,Release>:${KORTEX_HARDENING};-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
if(NOT APPLE)
  target_link_options(kortex_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(KORTEX_DEVELOPER)
  target_compile_definitions(kortex_options INTERFACE _GLIBCXX_ASSERTIONS)
endif()
if(KORTEX_SANITIZE)
  target_compile_options(kortex_options INTERFACE -fsanitize=${KORTEX_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(kortex_options INTERFACE -fsanitize=${KORTEX_SANITIZE})
endif()
