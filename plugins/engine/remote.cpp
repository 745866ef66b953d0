#include "engine/remote.hpp"

#include <sys/utsname.h>

#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "engine/tar.hpp"

namespace kortex::engine {
namespace {

std::string quoted(const Ref& ref) { return "'" + std::string(*ref.name() != '\0' ? ref.name() : ref.key()) + "'"; }

std::string on(const Api& api) { return " on '" + api.remote()->machine().destination + "'"; }

/// `uname -m` of this machine: that of the installed session holder.
std::string own_architecture() {
  utsname names{};
  return ::uname(&names) == 0 ? names.machine : "";
}

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in || bytes.empty()) throw Error(KORTEX_E_FAILED, "cannot read '" + path + "'");
  return bytes;
}

/// `tar` of the sources into the container, as both come.
void copy_sources(const Call& call, Api& api, const Ref& ref, const std::string& id, const Container& container, const Workspace& workspace) {
  call.progress("copy", "copying the sources");
  Pipe pipe = Pipe::make();
  Process tar;
  // A socket is no source, and a file that changes meanwhile no reason to give up: status 1. Nothing follows the archive's end: podman's
  // unpacker has gone by then, and what is still to be written to it is a broken pipe.
  tar.argv = {"tar", "-C", workspace.source_path, "--numeric-owner", "--owner=" + std::to_string(container.identity.uid),
              "--group=" + std::to_string(container.identity.gid), "--warning=no-file-ignored", "--warning=no-file-changed", "--blocking-factor=1", "-cf", "-", "."};
  tar.stdout_fd = pipe.write.get();
  ProcessResult result;
  std::exception_ptr failure;
  std::thread packer([&] {
    try {
      result = call.run(tar);
    } catch (...) {
      failure = std::current_exception();
    }
    pipe.write.reset();
  });
  std::exception_ptr refused;
  try {
    api.put_archive("copy the sources into the container of " + quoted(ref), id, container.directory, pipe.read.get());
  } catch (...) {
    refused = std::current_exception();
    pipe.read.reset();  // ends tar
  }
  packer.join();
  if (failure) std::rethrow_exception(failure);
  if (refused) std::rethrow_exception(refused);
  if (result.exit_code > 1) throw Error(KORTEX_E_FAILED, "cannot copy the sources in '" + workspace.source_path + "': tar ended with status " + std::to_string(result.exit_code), "", result.err);
}

/// A path that is the same in the container, so that git finds it.
std::string remote_git_directory(Api& api, const RemoteSources& sources) {
  if (sources.path.empty()) return {};
  const std::string git = api.remote()->git_directory(api.call(), sources.path);
  return git.empty() || is_within(git, sources.path) ? std::string() : git;
}

}  // namespace

std::unique_ptr<Api> connect_by_ssh(const Call& call, const std::string& directory, const std::string& engine, const SshAddress& address,
                                    const std::string& socket_script, const std::string& enable_hint) {
  // A shared connection that was just ending accepts a stream and drops it: the next one meets a new one.
  for (int attempts_left = 2;; --attempts_left) {
    auto ssh = std::make_shared<SshConnection>(call, directory, engine, address, socket_script, enable_hint);
    Address here{engine, ssh->socket(), address.by_hand() + " " + enable_hint, "",
                 "'" + ssh->machine().socket + "' on '" + address.destination() + "'"};
    auto api = std::make_unique<Api>(call, here, ssh->take_stream());
    api->came_by(ssh);
    try {
      (void)api->version();
      return api;
    } catch (const Error& error) {
      if (attempts_left == 0 || error.code != KORTEX_E_UNAVAILABLE) throw;
    }
  }
}

void refuse_remote_options(const Workspace& workspace) {
  for (const char* name : {"sources", "sync"})
    if (const auto given = workspace.options.find(name); given && !given->empty() && *given != "none")
      throw Error(KORTEX_E_INVALID, std::string("option '") + name + "' is for an engine of another machine", "--runtime-option host=ssh://USER@MACHINE");
}

RemoteSources remote_sources(Api& api, const Workspace& workspace) {
  const RemoteMachine& machine = api.remote()->machine();
  const std::string given = workspace.options.get("sources");
  if (workspace.options.get("sync") == "copy") {
    if (!given.empty()) throw Error(KORTEX_E_INVALID, "options 'sources' and 'sync=copy' exclude each other: the sources are on one machine", "--runtime-option sync=copy");
    // Root there takes the owner's place, as he does here.
    const bool root = machine.uid == 0;
    return {"", root && workspace.uid >= 0 ? static_cast<std::uint32_t>(workspace.uid) : machine.uid,
            root && workspace.gid >= 0 ? static_cast<std::uint32_t>(workspace.gid) : machine.gid};
  }
  const std::string path = given.empty() ? workspace.source_path : given;
  if (path.front() != '/') throw Error(KORTEX_E_INVALID, "option 'sources' is not an absolute path: '" + path + "'");
  const RemotePath found = api.remote()->examine(api.call(), {path}).at(0);
  if (!found.exists || !found.is_directory)
    throw Error(KORTEX_E_INVALID, "the sources '" + path + "' are not a directory" + on(api) + ": an engine mounts what is on its own machine",
                given.empty() ? "--runtime-option sync=copy, or --runtime-option sources=/PATH/THERE" : "");
  return {path, machine.uid == 0 ? found.uid : machine.uid, machine.uid == 0 ? found.gid : machine.gid};
}

Container remote_plan(Api& api, const Ref& ref, const Workspace& workspace, const Places& places, const Identity& identity, const std::string& image,
                      const std::string& plugin_version) {
  const RemoteMachine& machine = api.remote()->machine();
  const RemoteSources sources = remote_sources(api, workspace);
  if (machine.architecture != own_architecture())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot create " + quoted(ref) + on(api) + ": it is " + machine.architecture + ", and the session holder installed here is for " +
                                          own_architecture());
  Container out = basic_plan(ref, workspace, places.session_program, identity, image);
  if (!sources.path.empty()) out.mounts.push_back({sources.path, workspace.target_path, false, false});
  const std::string git = remote_git_directory(api, sources);
  if (!git.empty()) out.mounts.push_back({git, git, false, false});
  std::vector<std::string> paths;
  for (const Mount& mount : workspace.mounts) paths.push_back(mount.host_path);
  const std::vector<RemotePath> found = paths.empty() ? std::vector<RemotePath>() : api.remote()->examine(api.call(), paths);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i].exists)
      out.mounts.push_back(workspace.mounts[i]);
    else if (!workspace.mounts[i].optional)
      throw Error(KORTEX_E_INVALID, "cannot mount '" + paths[i] + "': it does not exist" + on(api));
  }
  label(out, ref, workspace, plugin_version, home_of(places));
  if (!git.empty()) out.labels.emplace_back(label_git, git);
  out.relabel = machine.selinux;
  return out;
}

void fill_container(const Call& call, Api& api, const Ref& ref, const std::string& id, const Container& container, const Workspace& workspace,
                    const std::string& session_program) {
  const Identity& who = container.identity;
  TarWriter tar;
  std::map<std::string, bool> made;
  // Only what is missing in the image is made by engines; what they make on the way would be root's.
  const auto directory = [&](const std::string& path, unsigned mode, std::uint32_t uid, std::uint32_t gid) {
    if (!made.emplace(path, true).second) return;
    tar.directory(path.substr(1), mode, uid, gid);
  };
  std::string home;
  for (const auto& [key, value] : container.labels)
    if (key == label_home) home = value;
  if (!(who.uid == 0 && home == "/root") && !is_within(home, container.directory)) directory(home, 0700, who.uid, who.gid);
  if (workspace.options.get("sync") == "copy") directory(container.directory, 0755, who.uid, who.gid);
  directory("/run/kortex", 0755, 0, 0);
  tar.file(std::string(holder_program).substr(1), 0755, 0, 0, file_bytes(session_program));
  directory(holder_directory, 0700, who.uid, who.gid);
  api.put_archive("copy the session holder into the container of " + quoted(ref), id, "/", tar.finish());
  if (workspace.options.get("sync") == "copy") copy_sources(call, api, ref, id, container, workspace);
}

std::vector<std::string> remote_exposure(Api& api, const Workspace& workspace) {
  const RemoteSources sources = remote_sources(api, workspace);
  std::vector<std::string> out;
  if (sources.path.empty())
    out.push_back("a copy of the sources, which is lost with the container: what is in it is fetched by git or by kortex-cli exec");
  else
    out.push_back("the sources in '" + sources.path + "'" + on(api) + ", to read and to write");
  if (const std::string git = remote_git_directory(api, sources); !git.empty())
    out.push_back("the git repository in '" + git + "'" + on(api) + " that the sources are a worktree of, to read and to write");
  for (const Mount& mount : workspace.mounts)
    out.push_back("'" + mount.host_path + "'" + on(api) + ", to read" + (mount.read_only ? "" : " and to write"));
  return out;
}

}  // namespace kortex::engine
