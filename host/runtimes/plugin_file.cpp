#include "runtimes/plugin_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <kortex/fd.hpp>
#include <kortex/runtime.h>

#include "runtimes/elf_note.hpp"
#include "runtimes/registry.hpp"
#include "system/error.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

constexpr int max_directory_depth = 256;

struct Refusal {
  std::string reason;  ///< empty: nothing wrong
  std::string hint;
  explicit operator bool() const { return !reason.empty(); }
};

bool is_trusted_owner(uid_t uid) { return uid == 0 || uid == ::geteuid(); }

std::string octal(mode_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777));
  return text.data();
}

Refusal check_owner_and_mode(const struct stat& status, const std::string& subject, const std::string& path) {
  if (!is_trusted_owner(status.st_uid))
    return {subject + " belongs to another user (uid " + std::to_string(status.st_uid) + ")",
            "chown " + std::to_string(::geteuid()) + " " + shell_word(path)};
  const bool sticky_directory = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_directory)
    return {subject + " can be written by other users (mode " + octal(status.st_mode) + ")",
            "chmod go-w " + shell_word(path)};
  return {};
}

/// The directory and everything above it, walked by descriptor: a name may change its meaning meanwhile.
Refusal check_directories(fs::path directory) {
  Fd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int depth = 0; depth < max_directory_depth; ++depth) {
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0)
      return {"its directory '" + directory.string() + "' cannot be checked: " + reason_of(errno), ""};
    if (Refusal refusal = check_owner_and_mode(status, "its directory '" + directory.string() + "'", directory.string()))
      return refusal;
    if (directory == directory.root_path()) return {};
    fd = Fd(::openat(fd.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    directory = directory.parent_path();
  }
  return {"its directory is nested too deeply", ""};
}

Refusal check_permissions(int fd, const fs::path& file, const struct stat& status) {
  if (Refusal refusal = check_owner_and_mode(status, "it", file.string())) return refusal;
  std::error_code error;
  const fs::path resolved = fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  if (error || !resolved.is_absolute()) return {"its place cannot be found out: " + error.message(), ""};
  if (Refusal refusal = check_directories(resolved.parent_path())) return refusal;

  struct stat link {};
  if (::lstat(file.c_str(), &link) != 0) return {"it cannot be checked: " + reason_of(errno), ""};
  if (!S_ISLNK(link.st_mode) && resolved == file) return {};
  // Whoever can change the link decides what is loaded: its owner, and who can write where it lies.
  if (!is_trusted_owner(link.st_uid))
    return {"the link belongs to another user (uid " + std::to_string(link.st_uid) + ")", ""};
  const fs::path directory = fs::canonical(file.parent_path(), error);
  if (error) return {"its directory cannot be checked: " + error.message(), ""};
  return directory == resolved.parent_path() ? Refusal{} : check_directories(directory);
}

Refusal check_abi(const Descriptor& plugin) {
  const auto message = [](unsigned major, unsigned minor, const char* update) {
    return Refusal{"it is built for runtime ABI " + std::to_string(major) + "." + std::to_string(minor) +
                       ", this kortex-cli provides " + std::to_string(KORTEX_ABI_MAJOR) + "." +
                       std::to_string(KORTEX_ABI_MINOR) + ": update " + update,
                   ""};
  };
  if (plugin.abi_major > KORTEX_ABI_MAJOR) return message(plugin.abi_major, plugin.abi_minor, "kortex-cli");
  if (plugin.abi_major < KORTEX_ABI_MAJOR) return message(plugin.abi_major, plugin.abi_minor, "the plugin");
  if (plugin.min_host_minor > KORTEX_ABI_MINOR) return message(plugin.abi_major, plugin.min_host_minor, "kortex-cli");
  return {};
}

}  // namespace

std::string name_of_plugin_file(const std::string& file_name) {
  if (file_name.size() <= plugin_prefix.size() + plugin_suffix.size()) return {};
  if (!file_name.starts_with(plugin_prefix) || !file_name.ends_with(plugin_suffix)) return {};
  std::string name =
      file_name.substr(plugin_prefix.size(), file_name.size() - plugin_prefix.size() - plugin_suffix.size());
  return is_runtime_name(name) ? name : std::string();
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'')
      word += "'\\''";
    else
      word += c;
  }
  return word + "'";
}

PluginFile examine(const fs::path& file, const std::string& origin) {
  PluginFile result;
  std::error_code error;
  result.path = fs::absolute(file, error).lexically_normal();
  if (error) result.path = file;
  result.name = name_of_plugin_file(file.filename().string());
  result.origin = origin;
  const auto refuse = [&](Refusal refusal) {
    result.refusal = std::move(refusal.reason);
    result.hint = std::move(refusal.hint);
    return result;
  };
  // Non-blocking: opening a FIFO of that name must not hang.
  const Fd fd(::open(result.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return refuse({"it cannot be opened: " + reason_of(errno), ""});
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return refuse({"it cannot be read: " + reason_of(errno), ""});
  if (S_ISDIR(status.st_mode)) return refuse({"it is a directory", ""});
  if (!S_ISREG(status.st_mode)) return refuse({"it is not a regular file", ""});

  const NoteResult note = read_note(fd.get(), static_cast<std::uint64_t>(status.st_size));
  if (note.status == NoteResult::Status::ok) result.descriptor = note.descriptor;
  if (Refusal refusal = check_permissions(fd.get(), result.path, status)) return refuse(std::move(refusal));
  if (!result.descriptor) return refuse({note.reason, ""});
  if (result.name.empty())
    return refuse({"its file name is not libkortex-runtime-" + result.descriptor->name + std::string(plugin_suffix), ""});
  if (result.descriptor->name != result.name)
    return refuse({"its plugin note says it is runtime '" + result.descriptor->name + "'",
                   "mv " + shell_word(result.path.string()) + " " +
                       shell_word((result.path.parent_path() / (std::string(plugin_prefix) + result.descriptor->name +
                                                                std::string(plugin_suffix)))
                                      .string())});
  if (Refusal refusal = check_abi(*result.descriptor)) return refuse(std::move(refusal));
  return result;
}

}  // namespace kortex::host
