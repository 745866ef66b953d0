# The packages. A runtime's version is that of its own project, read from there: its package changes when it does.
function(kortex_runtime_package name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SUMMARY;DESCRIPTION;DEPENDS;RECOMMENDS" "")
  set(directory ${PROJECT_SOURCE_DIR}/plugins/${name})
  file(READ ${directory}/CMakeLists.txt project)
  if(NOT project MATCHES "project\\(kortex-runtime-${name} VERSION ([0-9.]+)")
    message(FATAL_ERROR "${directory}/CMakeLists.txt: no project(kortex-runtime-${name} VERSION ...)")
  endif()
  set(version ${CMAKE_MATCH_1})
  string(REGEX MATCH "KORTEX_ABI_MINOR ([0-9]+)" unused "${KORTEX_RUNTIME_HEADER}")
  set(depends "kortex-runtime-abi-1 (>= 1.${CMAKE_MATCH_1})")
  if(arg_DEPENDS)
    set(depends "${depends}, ${arg_DEPENDS}")
  endif()
  kortex_package(kortex-runtime-${name} VERSION ${version} CHANGELOG ${directory}/CHANGELOG.md SECTION utils
    SUMMARY "${arg_SUMMARY}" DESCRIPTION "${arg_DESCRIPTION}" DEPENDS "${depends}" RECOMMENDS "${arg_RECOMMENDS}")
endfunction()

file(READ ${PROJECT_SOURCE_DIR}/sdk/include/kortex/runtime.h KORTEX_RUNTIME_HEADER)
string(REGEX MATCH "KORTEX_ABI_MINOR ([0-9]+)" unused "${KORTEX_RUNTIME_HEADER}")
set(abi_minor ${CMAKE_MATCH_1})

kortex_package(kortex-cli VERSION ${PROJECT_VERSION} CHANGELOG ${PROJECT_SOURCE_DIR}/host/CHANGELOG.md SECTION utils
  PROVIDES "kortex-runtime-abi-1 (= 1.${abi_minor})" RECOMMENDS "kortex-runtime-process"
  SUMMARY "runs an AI agent on a folder of source code in a runtime you choose"
  DESCRIPTION "kortex-cli registers a folder as a workspace, starts an agent in it in a sandbox, and lets you look in, leave and come back. The sandbox is made by a runtime, which is a package of its own.")
kortex_package(kortex-runtime-check VERSION ${KORTEX_SDK_VERSION} CHANGELOG ${KORTEX_SDK_DIRECTORY}/CHANGELOG.md RECOMMENDS "kortex-cli"
  SUMMARY "checks a runtime plugin of kortex-cli against its contract"
  DESCRIPTION "kortex-runtime-check tries every rule of the runtime contract on a plugin: the file, the table, the instance's life from creation to removal, and from inside an instance what the runtime claims to enforce. It prints TAP and JUnit.")
kortex_package(libkortex-runtime-dev VERSION ${KORTEX_SDK_VERSION} CHANGELOG ${KORTEX_SDK_DIRECTORY}/CHANGELOG.md ALL SECTION libdevel
  SUGGESTS "kortex-runtime-check, cmake"
  SUMMARY "headers, build files and a template for runtime plugins of kortex-cli"
  DESCRIPTION "What the author of a runtime needs: the C header of the contract, a C++ layer and the client of the session holder, both header-only, CMake and pkg-config files, a guide, and a template to copy.")

kortex_runtime_package(fake SUMMARY "pretends to run agents, for tests of what uses kortex-cli"
  DESCRIPTION "This runtime of kortex-cli runs nothing: it keeps the state of its instances in symbolic links, and misbehaves as it is told.")
kortex_runtime_package(process SUMMARY "runs agents on this machine in a bubblewrap sandbox" DEPENDS "bubblewrap"
  DESCRIPTION "With this runtime of kortex-cli an agent has its own processes, home and temporary files; it sees the system read-only and the sources read-write.")
kortex_runtime_package(podman SUMMARY "runs agents in containers of podman" DEPENDS "podman"
  DESCRIPTION "With this runtime of kortex-cli an agent has the userland of an image, a home of its own and no new privileges. It uses podman's API, rootful and rootless.")
kortex_runtime_package(docker SUMMARY "runs agents in containers of docker" DEPENDS "docker.io | docker-ce"
  DESCRIPTION "With this runtime of kortex-cli an agent has the userland of an image, a home of its own and no new privileges. It uses dockerd's API.")
kortex_runtime_package(apple-container SUMMARY "runs agents in containers of Apple's container program"
  DESCRIPTION "With this runtime of kortex-cli an agent has a virtual machine of its own with the userland of an image, made by the program that Apple publishes as 'container'. It is of use on a Mac; elsewhere it says so.")
set(qemu "qemu-system-arm")
set(kernel "linux-image-cloud-${debian_architecture} | linux-image-${debian_architecture}")
if(debian_architecture STREQUAL "amd64")
  set(qemu "qemu-system-x86")
endif()
# In Debian 12 virtiofsd is in qemu-system-common.
kortex_runtime_package(microvm SUMMARY "runs agents in virtual machines of QEMU"
  DEPENDS "${qemu}, virtiofsd | qemu-system-common, bubblewrap" RECOMMENDS "passt, ${kernel}, e2fsprogs, squashfs-tools"
  DESCRIPTION "With this runtime of kortex-cli an agent has a kernel of its own, in a small virtual machine that starts in about a second.")
