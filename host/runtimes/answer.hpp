/// The answer to what an operation's child asks its parent (ChildCall::ask), over a pair of sockets: bytes, and a descriptor.
#pragma once

#include <kortex/fd.hpp>
#include <optional>
#include <string>

namespace kortex::host {

struct Answer {
  std::string bytes;
  int held_fd = -1;  ///< of the parent: what it locks stays locked until the child has ended, too
};

struct AnswerSockets {
  Fd parent, child;
  /// Throws std::system_error.
  [[nodiscard]] static AnswerSockets make();
};

/// Does not wait for the child to read it. Throws std::system_error.
void send_answer(const Fd& parent, const Answer&);

/// In the child. nullopt: the parent is gone, or `cancel_fd` became readable. `held` gets the descriptor, where there is one.
[[nodiscard]] std::optional<std::string> receive_answer(int child, int cancel_fd, Fd& held);

}  // namespace kortex::host
