/// The tests, a table for each part of the contract.
#pragma once

#include <span>

#include "test.hpp"

namespace kortex::check {

extern const std::span<const Test> file_tests;        ///< what the file says without being loaded
extern const std::span<const Test> load_tests;        ///< loading, the table, open() and close()
extern const std::span<const Test> backend_tests;     ///< probe() and guarantees()
extern const std::span<const Test> lifecycle_tests;   ///< create to remove, and again (R9, R10)
extern const std::span<const Test> failing_tests;     ///< fail(), codes, what is gone (R5)
extern const std::span<const Test> process_tests;     ///< the process is the host's (R6, R8)
extern const std::span<const Test> memory_tests;      ///< sizes and lifetimes (R2, R3, R4)
extern const std::span<const Test> cancelling_tests;  ///< cancel and deadline (R7)
extern const std::span<const Test> agent_tests;       ///< what the agent gets, and how it ends
extern const std::span<const Test> exec_tests;
extern const std::span<const Test> terminal_tests;
extern const std::span<const Test> logs_tests;
extern const std::span<const Test> wait_tests;
extern const std::span<const Test> list_tests;
extern const std::span<const Test> place_tests;       ///< guarantees: isolation, mounts, images
extern const std::span<const Test> network_tests;     ///< guarantees: networks and ports
extern const std::span<const Test> limit_tests;       ///< guarantees: processors, memory, processes

}  // namespace kortex::check
