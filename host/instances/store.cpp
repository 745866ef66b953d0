#include "instances/store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <kortex/fd.hpp>
#include <set>
#include <system_error>

#include "instances/names.hpp"
#include "instances/record_reader.hpp"
#include "instances/store_layout.hpp"
#include "instances/store_mark.hpp"
#include "instances/tree_removal.hpp"
#include "system/error.hpp"
#include "system/files.hpp"
#include "system/suggestions.hpp"

namespace kortex::host {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void rethrow(const std::string& what, const std::system_error& error) {
  throw Error(ErrorKind::failed, what + ": " + reason_of(error.code().value()));
}
[[noreturn]] void fail(const std::string& what, int error) { throw Error(ErrorKind::failed, what + ": " + reason_of(error)); }

bool is_there(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

/// What holds records decides what runs on the user's account: it must be the user's alone.
void check_ownership(const fs::path& root) {
  struct stat status {};
  if (::stat(root.c_str(), &status) != 0) fail("cannot use the store '" + root.string() + "'", errno);
  if (!S_ISDIR(status.st_mode)) fail("cannot use the store '" + root.string() + "'", ENOTDIR);
  if (status.st_uid != ::geteuid())
    throw Error(ErrorKind::refused, "cannot use the store '" + root.string() + "': it belongs to user " + std::to_string(status.st_uid) +
                                        ", not to user " + std::to_string(::geteuid()),
                "run as that user, or name another store with --storage");
  if ((status.st_mode & 022) != 0)
    throw Error(ErrorKind::refused, "cannot use the store '" + root.string() + "': others may write to it",
                "chmod go-w '" + root.string() + "'");
}

void prepare(const fs::path& root) {
  try {
    make_private_directories(root);
    check_ownership(root);
    for (const auto& directory : {workspaces_of(root), names_of(root), tmp_of(root)}) make_private_directories(directory);
  } catch (const std::system_error& error) {
    rethrow("cannot make the store '" + root.string() + "'", error);
  }
}

std::vector<std::string> ids_of(const fs::path& root) {
  auto ids = entries_of(workspaces_of(root));
  ids.erase(std::remove_if(ids.begin(), ids.end(), [](const std::string& id) { return !is_workspace_id(id); }), ids.end());
  return ids;
}

/// Whether somebody is registering the workspace, or it is there. The order of the two questions matters: between
/// them a registration may finish, but it cannot begin.
bool is_alive(const fs::path& root, const std::string& id) {
  return FileLock::is_held(tmp_of(root) / id / "lock") || is_there(workspaces_of(root) / id);
}

Fd open_lock_file(const fs::path& file) {
  Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw std::system_error(errno, std::generic_category(), file.string());
  return fd;
}

/// Frees a name whose workspace never came or went away half-way. Only one process does so at a time, and looks again
/// before it does: else it could free the name that another one has just reserved.
void reclaim(const fs::path& root, const std::string& name, const std::string& id) {
  const fs::path lock_file = names_of(root) / ".lock";
  (void)open_lock_file(lock_file);
  const auto lock = FileLock::acquire(lock_file, -1, {});
  if (read_name(root, name) == id && !is_alive(root, id)) ::unlink((names_of(root) / name).c_str());
}

/// Reserves a name for an id. False: another workspace has it.
bool reserve(const fs::path& root, const std::string& name, const std::string& id) {
  const fs::path link = names_of(root) / name;
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (::symlink(("../workspaces/" + id).c_str(), link.c_str()) == 0) return true;
    if (errno != EEXIST) throw std::system_error(errno, std::generic_category(), link.string());
    const std::string owner = read_name(root, name);
    if (owner.empty() && is_there(link)) return false;
    if (!owner.empty() && is_alive(root, owner)) return false;
    if (!owner.empty()) reclaim(root, name, owner);
  }
  return false;
}

/// Frees a name if it is this workspace's. Only its claim's holder may.
void release(const fs::path& root, const std::string& name, const std::string& id) {
  const fs::path link = names_of(root) / name;
  if (!name.empty() && read_name(root, name) == id && ::unlink(link.c_str()) != 0 && errno != ENOENT)
    throw std::system_error(errno, std::generic_category(), link.string());
}

std::string candidate(const std::string& base, std::uint64_t number) {
  return number <= 1 ? base : with_suffix(base, "-" + std::to_string(number));
}

/// base, base-2, base-3, …: doubles the number until one is free, then halves the gap, so that the thousandth
/// workspace of a name takes twenty questions and not a thousand.
std::uint64_t free_number(const fs::path& root, const std::string& base, std::uint64_t taken) {
  std::uint64_t free = taken * 2;
  while (is_there(names_of(root) / candidate(base, free))) {
    taken = free;
    free *= 2;
  }
  while (free - taken > 1) {
    const std::uint64_t middle = taken + (free - taken) / 2;
    (is_there(names_of(root) / candidate(base, middle)) ? taken : free) = middle;
  }
  return free;
}

std::string reserve_free(const fs::path& root, const std::string& base, const std::string& id) {
  if (reserve(root, base, id)) return base;
  for (std::uint64_t taken = 1;;) {
    taken = free_number(root, base, taken);
    if (reserve(root, candidate(base, taken), id)) return candidate(base, taken);
    // somebody was faster
  }
}

[[noreturn]] void name_taken(const fs::path& root, const std::string& name) {
  const std::string owner = read_name(root, name);
  throw Error(ErrorKind::failed, "cannot name a workspace '" + name + "': workspace " + (owner.empty() ? "" : owner.substr(0, 12) + " ") + "has that name",
              "choose another with --name");
}

void require_name(const std::string& name) {
  if (const std::string reason = check_name(name); !reason.empty())
    throw Error(ErrorKind::refused, "cannot name a workspace '" + name + "': " + reason);
}

void delete_remains(const fs::path& directory) {
  // A directory without a lock is either brand-new, and then not ours to touch, or empty.
  if (!is_there(directory / "lock")) {
    ::rmdir(directory.c_str());
    return;
  }
  try {
    const auto lock = FileLock::try_acquire(directory / "lock");
    if (!lock) return;
    // A registration that was killed may have reserved a name already. Rare enough to look at all of them.
    const fs::path root = directory.parent_path().parent_path();
    const std::string id = directory.filename().string();
    if (!is_there(workspaces_of(root) / id))
      for (const auto& name : entries_of(names_of(root))) release(root, name, id);
    remove_tree(directory, "lock");
  } catch (const std::system_error&) {
    // Another process deleted it first, or parts of it belong to another user: the next sweep tries again.
  }
}

void replace_record(const fs::path& directory, const Record& record, Durability durability) {
  // A phase need not outlive a power cut: whoever was at work has died with it, and the runtime is asked anyway.
  replace_file(directory / record_file, serialize(record), record.phase == Phase::none ? durability : Durability::ordered);
}

[[noreturn]] void no_workspace(const std::string& given, std::vector<std::string> names) {
  names.erase(std::remove(names.begin(), names.end(), given), names.end());  // a killed command's, which leads nowhere
  const auto close = nearest(given, names);
  throw Error(ErrorKind::no_workspace, "no workspace '" + given + "'",
              close.empty() ? "kortex-cli list" : "did you mean '" + close.front() + "'?");
}

}  // namespace

fs::path Store::runtime_directory(const std::string& runtime) const {
  prepare(m_root);
  const fs::path directory = m_root / "runtimes" / runtime;
  try {
    make_private_directories(directory);
  } catch (const std::system_error& error) {
    rethrow("cannot make '" + directory.string() + "'", error);
  }
  return directory;
}

fs::path Store::instance_directory(const std::string& id) const { return workspaces_of(m_root) / id / "runtime"; }

Claim Store::add(Record& record, const std::optional<std::string>& wanted) {
  const std::string& name = wanted ? *wanted : record.name;
  require_name(name);
  prepare(m_root);
  sweep();
  const std::string what = "cannot register workspace '" + name + "'";
  try {
    // From here on the lock protects it; whatever fails or is killed leaves remains for the next sweep.
    Claim claim = begin();
    record.id = claim.id();
    const fs::path temporary = claim.directory();
    try {
      if (!wanted) record.name = reserve_free(m_root, record.name, record.id);
      else if (reserve(m_root, *wanted, record.id)) record.name = *wanted;
      else name_taken(m_root, *wanted);
      try {
        record.key = key_for(record.name, record.id);
        replace_file(temporary / record_file, serialize(record), Durability::none);
        claim.m_directory = workspaces_of(m_root) / record.id;
        if (::rename(temporary.c_str(), claim.m_directory.c_str()) != 0) throw std::system_error(errno, std::generic_category(), "rename");
        return claim;
      } catch (...) {
        ::unlink((names_of(m_root) / record.name).c_str());
        const fs::path final_place = workspaces_of(m_root) / record.id;
        if (is_there(final_place)) ::rename(final_place.c_str(), temporary.c_str());
        throw;
      }
    } catch (...) {
      if (is_there(temporary)) remove_tree(temporary, "lock");
      throw;
    }
  } catch (const std::system_error& error) {
    rethrow(what, error);
  }
}

void Store::make_durable(const Claim& claim) const {
  try {
    sync_file(claim.directory() / record_file);
    for (const auto& directory : {claim.directory(), workspaces_of(m_root), names_of(m_root)}) sync_directory(directory);
  } catch (const std::system_error& error) {
    rethrow("cannot register workspace '" + short_id(claim.id()) + "'", error);
  }
}

std::string Store::available_name(const std::string& base, const std::optional<std::string>& wanted) const {
  const std::string& name = wanted ? *wanted : base;
  require_name(name);
  const std::string owner = read_name(m_root, name);
  if (owner.empty() || !is_alive(m_root, owner)) return name;
  if (wanted) name_taken(m_root, name);
  return candidate(base, free_number(m_root, base, 1));
}

std::string Store::resolve(const std::string& given) const {
  const fs::path workspaces = workspaces_of(m_root);
  try {
    if (check_name(given).empty()) {
      std::string id = read_name(m_root, given);
      if (!id.empty() && is_there(workspaces / id)) return id;
    }
    if (is_workspace_id(given) && is_there(workspaces / given)) return given;
    if (given.empty()) throw Error(ErrorKind::usage, "a workspace's name must not be empty");
    const auto ids = ids_of(m_root);
    if (given.size() >= 4 && given.size() < 64 && is_hexadecimal(given)) {
      std::vector<std::string> fitting;
      for (const auto& id : ids)
        if (id.compare(0, given.size(), given) == 0) fitting.push_back(id);
      if (fitting.size() == 1) return fitting.front();
      if (fitting.size() > 1) {
        std::sort(fitting.begin(), fitting.end());
        std::string list;
        for (std::size_t i = 0; i < fitting.size() && i < 8; ++i) list += (i == 0 ? "" : ", ") + fitting[i].substr(0, std::max<std::size_t>(12, given.size() + 4));
        throw Error(ErrorKind::no_workspace, "no workspace '" + given + "': " + std::to_string(fitting.size()) + " ids begin so",
                    "type more digits: " + list);
      }
    }
    // A removal that was killed has freed the name already, but the workspace is still there and must be reachable.
    const auto all_names = names();
    std::set<std::string> named;
    for (const auto& name : all_names) named.insert(read_name(m_root, name));
    for (const auto& id : ids)
      if (named.count(id) == 0) {
        const Fd directory = open_workspaces(m_root);
        const auto entry = RecordReader(m_root, directory.get()).read(id);
        if (entry && entry->record && entry->record->name == given) return id;
      }
    no_workspace(given, all_names);
  } catch (const std::system_error& error) {
    rethrow("cannot read the store '" + m_root.string() + "'", error);
  }
}

Entry Store::read(const std::string& id) const {
  const Fd directory = open_workspaces(m_root);
  if (!directory && errno != ENOENT) fail("cannot read the store '" + m_root.string() + "'", errno);
  if (directory)
    if (auto entry = RecordReader(m_root, directory.get()).read(id)) return *entry;
  throw Error(ErrorKind::no_workspace, "no workspace '" + short_id(id) + "' any more");
}

Listing Store::list(const std::function<void(const Summary&)>& first) const { return Listing(m_root, first); }

std::vector<std::string> Store::names() const {
  try {
    auto names = entries_of(names_of(m_root));
    names.erase(std::remove_if(names.begin(), names.end(), [](const std::string& name) { return name.front() == '.'; }), names.end());
    return names;
  } catch (const std::system_error& error) {
    rethrow("cannot read the store '" + m_root.string() + "'", error);
  }
}

Claim Store::claim(const std::string& id, int timeout_ms, const std::function<void()>& waiting) const {
  const fs::path directory = workspaces_of(m_root) / id;
  if (is_there(m_root)) check_ownership(m_root);
  sweep();
  try {
    if (is_there(directory) && !is_there(directory / "lock")) (void)open_lock_file(directory / "lock");
    if (auto lock = FileLock::acquire(directory / "lock", timeout_ms, waiting)) {
      lock->note({});
      return Claim(id, directory, std::move(*lock));
    }
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::no_such_file_or_directory)
      throw Error(ErrorKind::no_workspace, "no workspace '" + short_id(id) + "' any more: another kortex-cli removed it");
    rethrow("cannot lock workspace '" + short_id(id) + "'", error);
  }
  throw Error(ErrorKind::busy, "workspace '" + short_id(id) + "' is busy: another kortex-cli is working on it");
}

Phase Store::announced(const std::string& id) const {
  if (!is_claimed(id)) return Phase::none;
  return phase_from_string(FileLock::note_in(workspaces_of(m_root) / id / "lock"));
}

bool Store::is_claimed(const std::string& id) const {
  try {
    return FileLock::is_held(workspaces_of(m_root) / id / "lock");
  } catch (const std::system_error&) {
    return false;
  }
}

void Store::write(const Claim& claim, const Record& record, Durability durability) const {
  try {
    replace_record(claim.directory(), record, durability);
  } catch (const std::system_error& error) {
    rethrow("cannot store workspace '" + record.name + "'", error);
  }
}

void Store::write_if_room(const Claim& claim, const Record& record) const {
  try {
    replace_record(claim.directory(), record, Durability::now);
  } catch (const std::system_error& error) {
    if (error.code().value() != ENOSPC && error.code().value() != EDQUOT) rethrow("cannot store workspace '" + record.name + "'", error);
  }
}

void Store::rename(const Claim& claim, Record& record, const std::string& new_name) const {
  if (new_name == record.name) return;
  require_name(new_name);
  const std::string old_name = record.name;
  try {
    // The record names both for as long as both may be reserved, so that whoever removes the workspace after a kill frees both.
    release(m_root, record.other_name, claim.id());
    record.other_name = new_name;
    write(claim, record);
    if (read_name(m_root, new_name) != claim.id() && !reserve(m_root, new_name, claim.id())) {
      record.other_name.clear();
      write(claim, record);
      throw Error(ErrorKind::failed, "cannot rename workspace '" + old_name + "' to '" + new_name + "': workspace " +
                                         short_id(read_name(m_root, new_name)) + " has that name");
    }
    sync_directory(names_of(m_root));
    record.name = new_name;
    record.other_name = old_name;
    write(claim, record);
    release(m_root, old_name, claim.id());
    sync_directory(names_of(m_root));
    record.other_name.clear();
    write(claim, record);
  } catch (const std::system_error& error) {
    rethrow("cannot rename workspace '" + old_name + "'", error);
  }
}

void Store::write_log(const Claim& claim, const std::string& text) const {
  try {
    replace_file(claim.directory() / "log", text);
  } catch (const std::system_error& error) {
    rethrow("cannot write the log of workspace '" + short_id(claim.id()) + "'", error);
  }
}

fs::path Store::keep_init_log(const Claim& claim, const std::string& text) const {
  write_log(claim, text);
  fs::path place = m_root / "last-init.log";
  if (::rename((claim.directory() / "log").c_str(), place.c_str()) != 0) fail("cannot write '" + place.string() + "'", errno);
  return place;
}

void Store::remove(Claim claim) const {
  try {
    const Fd directory = open_workspaces(m_root);
    const auto entry = RecordReader(m_root, directory.get()).read(claim.id());
    const std::string name = entry ? entry->name : std::string();
    release(m_root, name.empty() ? name_of(m_root, claim.id()) : name, claim.id());
    if (entry && entry->record) release(m_root, entry->record->other_name, claim.id());
    sync_directory(names_of(m_root));
    make_private_directories(tmp_of(m_root));
    const fs::path remains = tmp_of(m_root) / claim.id();
    if (::rename(claim.directory().c_str(), remains.c_str()) != 0)
      throw std::system_error(errno, std::generic_category(), claim.directory().string());
    sync_directory(workspaces_of(m_root));
    try {
      remove_tree(remains, "lock");
    } catch (const std::system_error&) {
      // Files of another user (a container's) can stop this. The workspace is gone; the next sweep tries again.
    }
  } catch (const std::system_error& error) {
    rethrow("cannot remove workspace '" + short_id(claim.id()) + "' from the store", error);
  }
}

std::string Store::mark(const std::string& runtime) const {
  try {
    if (std::string mark = read_store_mark(m_root, runtime); !mark.empty()) return mark;
    Claim lent = lend();
    try {
      std::string mark = make_store_mark(m_root, runtime, lent.directory());
      drop(std::move(lent));
      return mark;
    } catch (...) {
      drop(std::move(lent));
      throw;
    }
  } catch (const std::system_error& error) {
    rethrow("cannot write the store's mark '" + (m_root / "marks" / runtime).string() + "'", error);
  }
}

std::string Store::known_mark(const std::string& runtime) const {
  try {
    return read_store_mark(m_root, runtime);
  } catch (const std::system_error& error) {
    rethrow("cannot read the store's mark '" + (m_root / "marks" / runtime).string() + "'", error);
  }
}

Claim Store::begin() const {
  for (;;) {
    const std::string id = random_id();
    const fs::path directory = tmp_of(m_root) / id;
    if (::mkdir(directory.c_str(), 0700) != 0) throw std::system_error(errno, std::generic_category(), directory.string());
    std::optional<FileLock> lock;
    try {
      (void)open_lock_file(directory / "lock");
      lock = FileLock::try_acquire(directory / "lock");
      if (lock && ::mkdir((directory / "runtime").c_str(), 0700) != 0) throw std::system_error(errno, std::generic_category(), directory.string());
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::no_such_file_or_directory) {
        ::unlink((directory / "lock").c_str());
        ::rmdir(directory.c_str());
        throw;
      }
      lock.reset();
    }
    if (lock) return Claim(id, directory, std::move(*lock));  // else a sweep took it for remains
  }
}

Claim Store::lend() const {
  prepare(m_root);
  try {
    return begin();
  } catch (const std::system_error& error) {
    rethrow("cannot use the store '" + m_root.string() + "'", error);
  }
}

void Store::drop(Claim claim) const {
  try {
    remove_tree(claim.directory(), "lock");
  } catch (const std::system_error&) {
    // The next sweep tries again.
  }
}

void Store::sweep() const {
  try {
    for (const auto& name : entries_of(tmp_of(m_root)))
      if (is_workspace_id(name)) delete_remains(tmp_of(m_root) / name);
  } catch (const std::system_error&) {
    // Nothing depends on it.
  }
}

}  // namespace kortex::host
