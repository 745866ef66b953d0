/// Starting the session holder, inside bubblewrap or bare, so that it outlives us and nothing lives unseen.
#pragma once

#include <string>
#include <vector>

#include <kortex/fd.hpp>
#include <kortex/runtime.hpp>

#include "instance_files.hpp"

namespace kortex::process {

struct Launch {
  std::vector<std::string> wrapper;  ///< what comes before the holder: bubblewrap and its arguments; empty: nothing
  Fd filter;                         ///< given to the wrapper as filter_descriptor; empty: none
  std::string holder;                ///< its path where the wrapper leads
  std::string key;
  std::vector<std::string> limit_groups;
};

/// Returns when the holder serves. Throws kortex::Error, with what bubblewrap said as its detail, or Cancelled; then
/// nothing of it lives. The instance must be dead.
void launch_holder(const Call&, const InstanceFiles&, const Launch&);

}  // namespace kortex::process
