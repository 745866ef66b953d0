/// How long operations of a runtime may take unless the user says otherwise.
#pragma once

#include <chrono>

namespace kortex::host::timeouts {

inline constexpr std::chrono::milliseconds create = std::chrono::minutes(30);  ///< pulls and builds images
inline constexpr std::chrono::milliseconds start = std::chrono::minutes(5);
inline constexpr std::chrono::milliseconds grace = std::chrono::seconds(10);  ///< what runtimes give an agent by default
inline constexpr std::chrono::milliseconds stop = std::chrono::seconds(30);   ///< beside the grace
inline constexpr std::chrono::milliseconds remove = std::chrono::minutes(2);
inline constexpr std::chrono::milliseconds inspect = std::chrono::seconds(5);
inline constexpr std::chrono::milliseconds assess = std::chrono::seconds(30);

}  // namespace kortex::host::timeouts
