/// The store on disk: one directory per workspace, names as symbolic links, nothing shared.
///
///     <root>/workspaces/<id>/workspace.json  record        replaced atomically
///                            lock            flock         exclusive while anything changes it
///                            runtime/        the plugin's directory for this instance
///                            log             what the last failed operation said
///     <root>/names/<name>                    symlink "../workspaces/<id>"; creating it is the reservation
///     <root>/tmp/<id>/                       a workspace being registered or deleted; its lock is held
///     <root>/last-init.log                   what the last init that failed said
///     <root>/runtimes/<runtime>/             a plugin's directory across instances
///     <root>/agents/*.json                   the user's own agents
///     <root>/marks/<runtime>                 which store this is: see store_mark.hpp
///
/// A workspace appears by rename from tmp/, with name and record in place, and disappears by rename back.
/// What is found in tmp/ without its lock held is the remains of a killed command; the next command that
/// writes sweeps it. Readers take no lock and write nothing: a read-only store lists.
/// No operation's cost depends on the number of workspaces, but list() and the lookup of an id prefix.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "instances/listing.hpp"
#include "instances/record.hpp"
#include "system/file_lock.hpp"
#include "system/files.hpp"

namespace kortex::host {

/// The right to change one workspace; others wait or are told so.
class Claim {
 public:
  [[nodiscard]] const std::string& id() const { return m_id; }
  [[nodiscard]] const std::filesystem::path& directory() const { return m_directory; }
  [[nodiscard]] std::filesystem::path runtime_directory() const { return m_directory / "runtime"; }
  /// See FileLock::descriptor().
  [[nodiscard]] int lock_descriptor() const { return m_lock.descriptor(); }
  /// Tells those who wait for the claim what it is held for. Phase::none: nothing in particular.
  void announce(Phase phase) const { m_lock.note(to_string(phase)); }

 private:
  friend class Store;
  Claim(std::string id, std::filesystem::path directory, FileLock lock)
      : m_id(std::move(id)), m_directory(std::move(directory)), m_lock(std::move(lock)) {}
  std::string m_id;
  std::filesystem::path m_directory;
  FileLock m_lock;
};

class Store {
 public:
  /// Does not touch the disk: reading commands work without a store, writing ones make it.
  explicit Store(std::filesystem::path root) : m_root(std::move(root)) {}
  [[nodiscard]] const std::filesystem::path& root() const { return m_root; }
  [[nodiscard]] std::filesystem::path runtime_directory(const std::string& runtime) const;  ///< makes it
  [[nodiscard]] std::filesystem::path agents_directory() const { return m_root / "agents"; }
  [[nodiscard]] std::filesystem::path instance_directory(const std::string& id) const;  ///< …/runtime

  /// Reserves the name and makes `record` visible, all at once; returns with the claim held.
  /// `record.id` and `record.key` are filled in here. Name: `wanted` exactly (Error(failed) naming the other workspace
  /// when taken), or, when nullopt, record.name with -2, -3, … appended until free, found in few steps however many are taken.
  /// Throws Error(refused) for a name that check_name() refuses. A power cut may still undo it: see make_durable().
  Claim add(Record& record, const std::optional<std::string>& wanted);
  /// Returns when what add() made survives a power cut. Apart, because the disk may work while a runtime does.
  void make_durable(const Claim&) const;

  /// The name that add() would give now, with the same errors. Changes nothing.
  [[nodiscard]] std::string available_name(const std::string& base, const std::optional<std::string>& wanted) const;

  /// The workspace `given` means: name, full id or unique prefix of an id (≥ 4 digits). Returns its id.
  /// Throws Error(no_workspace) with the nearest names as hint, or the ids when a prefix fits several.
  [[nodiscard]] std::string resolve(const std::string& given) const;

  /// Throws Error(no_workspace): gone. Never for an unreadable record: see Entry::problem.
  [[nodiscard]] Entry read(const std::string& id) const;

  /// Every workspace, by creation time then name. Reads in parallel. Throws only when the store itself cannot be read.
  /// `first`: see Listing.
  [[nodiscard]] Listing list(const std::function<void(const Summary&)>& first = {}) const;
  /// All names, unordered, without reading records (completion, suggestions).
  [[nodiscard]] std::vector<std::string> names() const;

  /// Waits for the claim (told to `waiting` after 500 ms). Error(busy) after `timeout_ms` (< 0: never), Error(no_workspace) when
  /// it was removed meanwhile.
  [[nodiscard]] Claim claim(const std::string& id, int timeout_ms, const std::function<void()>& waiting) const;
  /// Whether somebody holds the claim now: a phase without a holder is a crashed command's.
  [[nodiscard]] bool is_claimed(const std::string& id) const;
  /// What the claim is held for now: Phase::none when it is not held, or its holder did not say.
  [[nodiscard]] Phase announced(const std::string& id) const;

  /// `durability`: of a record without a phase; one with a phase need not outlive a power cut.
  void write(const Claim&, const Record&, Durability durability = Durability::now) const;
  /// The same before work that frees space, which a full disk must not keep from being done: goes without then.
  void write_if_room(const Claim&, const Record&) const;
  void rename(const Claim&, Record&, const std::string& new_name) const;  ///< writes the record too
  void write_log(const Claim&, const std::string& text) const;
  /// The log of a workspace whose init failed and that is about to be removed: outlives it. Returns where it is.
  std::filesystem::path keep_init_log(const Claim&, const std::string& text) const;
  /// Frees the name and takes the workspace away; the claim ends. Works for unreadable records.
  void remove(Claim) const;

  /// Which store this is, for store_label of this runtime's instances. Made when there is none.
  [[nodiscard]] std::string mark(const std::string& runtime) const;
  /// Empty: it has none, and no instance of this runtime is its.
  [[nodiscard]] std::string known_mark(const std::string& runtime) const;
  /// A claimed directory in tmp/ that is no workspace's: for a runtime that works on an instance without one. drop() it.
  [[nodiscard]] Claim lend() const;
  void drop(Claim) const;

  /// Deletes what killed commands left in tmp/. Cheap when there is nothing.
  void sweep() const;

 private:
  /// A directory in tmp/ with its lock held and runtime/ in it. Throws std::system_error.
  [[nodiscard]] Claim begin() const;

  std::filesystem::path m_root;
};

/// Why `name` cannot be a workspace's name; empty: it can. 1 to 128 bytes of UTF-8, no '/', no control characters, not starting with
/// '-' or '.', no space at either end.
[[nodiscard]] std::string check_name(const std::string& name);

/// A valid name made of a directory's name.
[[nodiscard]] std::string name_from_path(const std::filesystem::path&);

}  // namespace kortex::host
