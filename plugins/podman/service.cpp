#include "service.hpp"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "engine/http.hpp"

namespace kortex::engine {
namespace {

// Whoever has other values of these has other containers, and needs a service of his own.
constexpr const char* storage_variables[] = {"CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_CONF_OVERRIDE", "STORAGE_DRIVER",
                                             "STORAGE_OPTS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HOME"};

std::string socket_name() {
  std::string all;
  for (const char* name : storage_variables) {
    const char* value = std::getenv(name);
    all += value == nullptr ? "\x01" : value;
    all += '\0';
  }
  char text[32];
  std::snprintf(text, sizeof text, "api-%016zx", std::hash<std::string>()(all));
  return text;
}

Fd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw Error(KORTEX_E_FAILED, "cannot listen at '" + path + "': the path is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::unlink(path.c_str());
  // The mode that bind() gives it, whatever the umask.
  if (!socket || ::fchmod(socket.get(), 0600) != 0 || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(socket.get(), 64) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot listen at '" + path + "'");
  return socket;
}

}  // namespace

Fd connect_service(const Call& call, const std::string& directory, std::string& path) {
  path = directory + "/" + socket_name();
  std::error_code error;
  Fd socket = connect_unix(path, error);
  if (socket) return socket;

  const Fd lock(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) throw std::system_error(errno, std::generic_category(), "cannot open '" + path + ".lock'");
  // Held for as long as a service takes to be spawned, never for as long as it runs.
  while (::flock(lock.get(), LOCK_EX) != 0)
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "cannot lock '" + path + ".lock'");
  socket = connect_unix(path, error);
  if (socket) return socket;

  // The service inherits a socket that listens already, as systemd would hand it over: connections wait in its
  // queue while podman starts, and nobody has to watch for it. The shell is there to put its own id into LISTEN_PID.
  const Fd listener = listen_at(path);
  Process service;
  service.argv = {"/bin/sh", "-c",
                  "command -v podman >/dev/null || exit 127; export LISTEN_PID=$$ LISTEN_FDS=1; exec podman system service --time 5 3<&0 </dev/null "
                  ">/dev/null 2>&1"};
  service.cwd = directory;  // conmon leaves a file called "oom" where podman was started, when a container runs out of memory
  service.stdin_fd = listener.get();
  service.flags = KORTEX_RUN_DETACH;
  call.run(service);
  socket = connect_unix(path, error);
  if (!socket) throw std::system_error(error, "cannot connect to '" + path + "'");
  return socket;
}

}  // namespace kortex::engine
