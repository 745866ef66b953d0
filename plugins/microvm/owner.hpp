/// Who the agent is in its machine: the user on whose files it works, so that what it writes belongs to them.
#pragma once

#include <sys/types.h>

#include <string>

#include <kortex/types.hpp>

namespace kortex::microvm {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  std::string home;  ///< the path that $HOME has on this machine; in the guest a directory of its own
};

[[nodiscard]] Owner owner_of(const Workspace&);

/// "K=V": what this runtime sets, overridden by `given`.
[[nodiscard]] std::vector<std::string> agent_environment(const Ref&, const Workspace&, const Owner&, const std::vector<std::string>& given);

}  // namespace kortex::microvm
