#include <boost/test/unit_test.hpp>
#include <random>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "viewer.hpp"

using kortex::Fd;
using kortex::Pipe;
using kortex::test::Holder;
using kortex::test::Viewer;
namespace session = kortex::session;

namespace {

struct Ran {
  int code;
  std::string err;
};

Ran ran(std::vector<std::string> argv) {
  argv.insert(argv.begin(), KORTEX_SESSION_PROGRAM);
  Pipe err = Pipe::make();
  const pid_t pid = kortex::test::spawn(argv, err.write.get());
  err.write.reset();
  std::string text;
  char part[512];
  for (ssize_t n; (n = ::read(err.read.get(), part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  return {kortex::test::wait_exit(pid), text};
}

pid_t locker(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  BOOST_REQUIRE(::fcntl(file.get(), F_GETLK, &whole) == 0);
  return whole.l_type == F_UNLCK ? 0 : whole.l_pid;
}

Fd raw_connection(const Holder& holder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (holder.directory / "session.sock").string();
  BOOST_REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BOOST_REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(serve)

BOOST_AUTO_TEST_CASE(listens_elsewhere_when_it_is_told) {
  Holder holder("", "other.sock");
  BOOST_TEST(std::filesystem::exists(holder.socket_path));
  BOOST_TEST(!std::filesystem::exists(holder.directory / "session.sock"));
  holder.start("exit 3");
  BOOST_TEST(holder.exit_code() == 3);
  BOOST_TEST(holder.status_file().exit_code == 3);
  BOOST_TEST(!std::filesystem::exists(holder.socket_path));
  const Ran alone = ran({"serve", "--socket", "/tmp/x", "--listen-fd", "0"});
  BOOST_TEST(alone.code == 64);
  BOOST_TEST(alone.err.find("not without --dir: '--socket'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(with_wrong_arguments_says_what_is_right) {
  Ran r = ran({});
  BOOST_TEST(r.code == 64);
  BOOST_TEST(r.err.find("usage: kortex-session serve --dir DIR") == 0U);
  r = ran({"serve", "--listen-fd", "x"});
  BOOST_TEST(r.code == 64);
  BOOST_TEST(r.err.find("kortex-session: not a descriptor 'x'\n") == 0U);
  r = ran({"serve", "--nonsense"});
  BOOST_TEST(r.code == 64);
  BOOST_TEST(r.err.find("kortex-session: unknown option '--nonsense'\n") == 0U);
  r = ran({"serve", "--dir", "/no/such/place"});
  BOOST_TEST(r.code == 71);
  BOOST_TEST(r.err == "kortex-session: cannot enter '/no/such/place': no such file or directory\n");
}

BOOST_AUTO_TEST_CASE(is_refused_where_another_serves) {
  Holder holder;
  const Ran r = ran({"serve", "--dir", holder.directory.string()});
  BOOST_TEST(r.code == 75);
  BOOST_TEST(r.err == "kortex-session: already running in '" + holder.directory.string() + "'\n");
  BOOST_TEST((holder.client().status().agent == session::Status::Agent::not_started));
}

BOOST_AUTO_TEST_CASE(tells_its_pid_by_its_lock) {
  Holder holder;
  const std::string path = (holder.directory / "session.lock").string();
  BOOST_TEST(locker(path) == holder.pid());
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  BOOST_TEST(::flock(file.get(), LOCK_EX | LOCK_NB) == -1);
  holder.client().stop(0);
  BOOST_TEST(locker(path) == 0);
  BOOST_TEST(::flock(file.get(), LOCK_EX | LOCK_NB) == 0);
}

BOOST_AUTO_TEST_CASE(can_be_reached_by_a_path_of_any_length) {
  Holder holder(std::string(100, 'a') + "/" + std::string(100, 'b'));
  holder.start("echo far away; exec sleep 60");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("far away"));
}

BOOST_AUTO_TEST_CASE(is_missed_with_a_clear_word) {
  const kortex::test::Sandbox sandbox;
  const std::string path = (sandbox / "session.sock").string();
  BOOST_CHECK_EXCEPTION((void)session::Client::connect(path), session::Error, [&](const session::Error& e) {
    return e.code == KORTEX_E_NOT_FOUND && e.what() == "no session is served at '" + path + "'";
  });
}

BOOST_AUTO_TEST_CASE(works_with_descriptors_alone) {
  const kortex::test::Sandbox sandbox;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (sandbox / "s").string();
  path.copy(address.sun_path, path.size());
  Fd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  BOOST_REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  BOOST_REQUIRE(::listen(listener.get(), 8) == 0);
  const auto file = [&](const char* name) { return Fd(::open((sandbox / name).c_str(), O_RDWR | O_CREAT, 0600)); };
  Fd lock = file("lock"), status = file("status"), log0 = file("log0"), log1 = file("log1");
  BOOST_REQUIRE(::flock(lock.get(), LOCK_EX | LOCK_NB) == 0);
  Pipe ready = Pipe::make();
  ::fcntl(ready.write.get(), F_SETFD, 0);
  const auto number = [](const Fd& fd) { return std::to_string(fd.get()); };
  const pid_t pid = kortex::test::spawn({KORTEX_SESSION_PROGRAM, "serve", "--listen-fd", number(listener), "--lock-fd", number(lock),
                                         "--status-fd", number(status), "--log-fds", number(log0) + "," + number(log1),
                                         "--ready-fd", number(ready.write)});
  for (Fd* fd : {&listener, &lock, &status, &log0, &log1, &ready.write}) fd->reset();
  char byte = 1;
  BOOST_REQUIRE((kortex::test::readable(ready.read.get()) && ::read(ready.read.get(), &byte, 1) == 1));
  BOOST_TEST(locker((sandbox / "lock").string()) == pid);
  session::Program agent;
  agent.argv = {"/bin/sh", "-c", "ls /proc/self/fd | wc -l; exit 5"};
  agent.env = {"PATH=/usr/bin:/bin"};
  session::Client::connect(path).start_agent(agent);
  BOOST_TEST(kortex::test::wait_exit(pid) == 5);
  BOOST_TEST(session::read_status_file((sandbox / "status").string()).exit_code == 5);
  std::string text;
  session::read_log((sandbox / "log0").string(), (sandbox / "log1").string(), -1,
                    [&](const char* data, std::size_t size) { return text.append(data, size), 0; });
  BOOST_TEST(text == "4\r\n");  // 0 to 2, and the directory that ls reads
  BOOST_TEST(locker((sandbox / "lock").string()) == 0);
}

BOOST_AUTO_TEST_CASE(can_be_reached_through_a_pair_of_pipes) {
  Holder holder;
  holder.start("exec sleep 600");
  Pipe up = Pipe::make(), down = Pipe::make();
  const pid_t relay = ::fork();
  if (relay == 0) {
    ::dup2(up.read.get(), 0);
    ::dup2(down.write.get(), 1);
    ::execl(KORTEX_SESSION_PROGRAM, KORTEX_SESSION_PROGRAM, "relay", (holder.directory / "session.sock").c_str(), nullptr);
    ::_exit(127);
  }
  up.read.reset();
  down.write.reset();
  {
    session::Client client(std::move(down.read), std::move(up.write));
    Pipe in = Pipe::make(), out = Pipe::make();
    BOOST_REQUIRE(::write(in.write.get(), "through pipes", 13) == 13);
    in.write.reset();
    session::Streams streams;
    streams.in = in.read.get();
    streams.out = out.write.get();
    session::Program cat;
    cat.argv = {"cat"};
    BOOST_TEST(client.run(cat, streams).code == 0);
    char text[64];
    const ssize_t n = ::read(out.read.get(), text, sizeof text);
    BOOST_TEST(std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0) == "through pipes");
  }
  BOOST_TEST(kortex::test::wait_exit(relay) == 0);
}

BOOST_AUTO_TEST_CASE(survives_clients_that_talk_nonsense) {
  Holder holder;
  holder.start("stty raw; echo ready; exec sleep 600");  // interrupt characters are obeyed, and would be right to end it
  {
    Viewer viewer(holder);
    BOOST_TEST(viewer.sees("ready"));
  }
  std::mt19937 random(11);
  const std::string hello("\1\0\0\0\10\0\0\0KXSN\1\0\0\0", 16);
  for (int round = 0; round < 300; ++round) {
    const Fd fd = raw_connection(holder);
    std::string bytes = round % 3 == 0 ? std::string() : hello;
    for (int frame = 0; frame < 20; ++frame) {
      std::string payload(random() % 64, '\0');
      for (char& c : payload) c = static_cast<char>(random() % 3 ? random() % 4 : random());
      bytes += static_cast<char>(random() % 10 ? 16 + random() % 12 : random());
      if (bytes.back() == KORTEX_SESSION_STOP || bytes.back() == KORTEX_SESSION_SIGNAL) bytes.back() = KORTEX_SESSION_STATUS;
      bytes += static_cast<char>(random() % 10 == 0);
      bytes += std::string(2, '\0');
      const std::size_t length = random() % 20 ? payload.size() : random();
      for (int i = 0; i < 4; ++i) bytes += static_cast<char>(length >> 8 * i & 0xff);
      bytes += payload;
    }
    (void)::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (round % 2 == 0) {
      ::shutdown(fd.get(), SHUT_WR);
      char part[4096];
      while (kortex::test::readable(fd.get()) && ::read(fd.get(), part, sizeof part) > 0) continue;
    }
  }
  BOOST_TEST((holder.client().status().agent == session::Status::Agent::running));
}

BOOST_AUTO_TEST_CASE(refuses_a_client_of_another_major_by_name) {
  Holder holder;
  const Fd fd = raw_connection(holder);
  BOOST_REQUIRE(::send(fd.get(), "\1\0\0\0\10\0\0\0KXSN\2\0\0\0", 16, MSG_NOSIGNAL) == 16);
  std::string text;
  char part[512];
  for (ssize_t n; kortex::test::readable(fd.get()) && (n = ::read(fd.get(), part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(n));
  BOOST_TEST(text.find("the session speaks another version of the protocol; restart the workspace") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
