// Guarantees: networks and ports. The host's end is a listener of ours; nothing outside this machine is asked for anything.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/attempts.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

/// Greets whoever connects, from a process that ends with us.
class Greeter {
 public:
  explicit Greeter(in_addr_t address) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(address);
    socklen_t size = sizeof at;
    if (!listener || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener.get(), 16) != 0 ||
        ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw Skipped(std::string("this machine does not let us listen: ") + std::strerror(errno));
    m_port = ntohs(at.sin_port);
    m_pid = ::fork();
    if (m_pid != 0) return;
    for (;;) {
      const int peer = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) ::_exit(0);
      [[maybe_unused]] const ssize_t n = ::write(peer, "hello\n", 6);
      ::close(peer);
    }
  }
  Greeter(const Greeter&) = delete;
  Greeter& operator=(const Greeter&) = delete;
  ~Greeter() {
    if (m_pid <= 0) return;
    ::kill(m_pid, SIGKILL);
    ::waitpid(m_pid, nullptr, 0);
  }
  [[nodiscard]] std::string port() const { return std::to_string(m_port); }

 private:
  std::uint16_t m_port = 0;
  pid_t m_pid = -1;
};

/// This machine's own address, as others see it; empty: it has none.
std::string own_address() {
  ifaddrs* all = nullptr;
  std::string found;
  if (::getifaddrs(&all) != 0) return found;
  for (const ifaddrs* one = all; one != nullptr && found.empty(); one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || (one->ifa_flags & IFF_LOOPBACK) != 0 ||
        (one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_RUNNING) == 0)
      continue;
    char text[INET_ADDRSTRLEN];
    const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) found = text;
  }
  ::freeifaddrs(all);
  return found;
}

std::string need_own_address() {
  std::string address = own_address();
  if (address.empty()) throw Skipped("this machine has no address but its loopback");
  return address;
}

void reaches_what_the_host_reaches(Bench& bench) {
  const std::string address = need_own_address();
  const Greeter greeter(INADDR_ANY);
  const Findings found = attempted(bench, {}, {"connect", address, greeter.port()});
  expect_equal("connecting to this machine's address " + address, reported(found, "connect"), address + " ok");
}

void denies_every_route(Bench& bench) {
  const Greeter greeter(INADDR_ANY);
  std::vector<std::string> attempt{"interfaces", "127.0.0.1", greeter.port()};
  if (const std::string address = own_address(); !address.empty()) attempt.insert(attempt.end(), {address, greeter.port()});
  Wish wish;
  wish.network = KORTEX_NETWORK_DENY;
  const Findings found = attempted(bench, wish, attempt);
  expect_equal("interfaces but the loopback that are up", reported(found, "interfaces"), "0");
  for (const auto& [name, value] : found)
    expect(name != "connect" || value.find(" ok") == std::string::npos, "with network deny the instance reached " + value);
}

void denies_all_but_the_hosts_allowed(Bench& bench) {
  const std::string address = need_own_address();
  const Greeter greeter(INADDR_ANY);
  Wish wish;
  wish.network = KORTEX_NETWORK_DENY;
  wish.allowed_hosts = {"192.0.2.1"};
  const Findings denied = attempted(bench, wish, {"connect", address, greeter.port()});
  expect(reported(denied, "connect") != address + " ok", "with network deny the instance reached " + address + ", which is not among the hosts allowed");
  wish.allowed_hosts = {address + "/32"};
  const Findings allowed = attempted(bench, wish, {"connect", address, greeter.port()});
  expect_equal("connecting to the one host that is allowed", reported(allowed, "connect"), address + " ok");
}

void keeps_the_hosts_loopback_apart(Bench& bench) {
  const Greeter greeter(INADDR_LOOPBACK);
  const Findings found = attempted(bench, {}, {"gateway", greeter.port(), "127.0.0.1", greeter.port()});
  for (const auto& [name, value] : found)
    expect(name != "connect" || value.find("ok") == std::string::npos, "the host's loopback was reached by " + value);
}

/// A port that nobody has now.
std::uint16_t free_port() {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw Skipped("this machine gives out no ports");
  return ntohs(at.sin_port);
}

std::string greeting_of(const EmittedForward& forward) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(forward.port));
  ::inet_pton(AF_INET, forward.bind.c_str(), &to.sin_addr);
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{5, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return std::strerror(errno);
  return read_all(socket.get());
}

void forwards_ports(Bench& bench) {
  const std::uint16_t port = free_port();
  Wish wish;
  wish.ports = {port};
  Instance& instance = attempting(bench, wish, {"listen", std::to_string(port)});
  expect_equal("listening in the instance", reported(instance.report(), "listen"), "ok");
  const Outcome seen = instance.inspect();
  expect_ok(seen);
  const std::vector<EmittedForward>& forwards = seen.emitted.front().forwards;
  expect_equal("forwards that inspect() emitted for one port", static_cast<std::int64_t>(forwards.size()), 1);
  expect_equal("the forward's target", forwards[0].target, port);
  expect_equal("the forward's address", forwards[0].bind, "127.0.0.1");
  expect_equal("what was heard on port " + std::to_string(forwards[0].port) + " of the host", greeting_of(forwards[0]), "hello\n");
}

constexpr std::uint32_t needs = need_backend | need_agent;
constexpr Test table[] = {
    {.part = "network-allow", .name = "reaches-what-the-host-reaches", .rule = "KORTEX_GUARANTEE_NETWORK_ALLOW", .needs = needs, .guarantee = KORTEX_GUARANTEE_NETWORK_ALLOW, .run = reaches_what_the_host_reaches},
    {.part = "network-deny", .name = "denies-every-route", .rule = "KORTEX_GUARANTEE_NETWORK_DENY", .needs = needs, .guarantee = KORTEX_GUARANTEE_NETWORK_DENY, .run = denies_every_route},
    {.part = "network-deny-hosts", .name = "denies-all-but-the-hosts-allowed", .rule = "KORTEX_GUARANTEE_NETWORK_DENY_HOSTS", .needs = needs, .guarantee = KORTEX_GUARANTEE_NETWORK_DENY_HOSTS, .run = denies_all_but_the_hosts_allowed},
    {.part = "host-loopback", .name = "keeps-the-hosts-loopback-apart", .rule = "KORTEX_GUARANTEE_HOST_LOOPBACK", .needs = needs, .guarantee = KORTEX_GUARANTEE_HOST_LOOPBACK, .run = keeps_the_hosts_loopback_apart},
    {.part = "ports", .name = "forwards-ports", .rule = "KORTEX_GUARANTEE_PORTS", .needs = needs, .guarantee = KORTEX_GUARANTEE_PORTS, .run = forwards_ports},
};

}  // namespace

const std::span<const Test> network_tests = table;

}  // namespace kortex::check
