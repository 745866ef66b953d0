#include "machine.hpp"

#include <kortex/json.hpp>

namespace kortex::microvm {

namespace {

std::string kernel_arguments(const Machine& machine) {
  std::string text = machine.type == "virt" ? "console=ttyAMA0" : "console=ttyS0";
  // Any panic ends the machine, and with it QEMU, which is told not to reboot.
  text += " quiet panic=-1 oops=panic rdinit=/init random.trust_cpu=on cryptomgr.notests rcupdate.rcu_expedited=1 mitigations=auto";
  if (machine.type == "microvm") text += " pci=off";
  if (machine.type != "virt") text += " reboot=t tsc=reliable no_timer_check";
  if (machine.emulated && machine.type != "virt" && machine.counter_khz > 0) text += " tsc_early_khz=" + std::to_string(machine.counter_khz);
  return text;
}

/// In JSON, where names may hold what they like.
std::string block_node(const std::string& node, const std::string& path, bool read_only) {
  return json::Object{{"driver", "raw"},
                      {"node-name", node},
                      {"read-only", read_only},
                      {"discard", "unmap"},
                      {"file", json::Object{{"driver", "file"}, {"filename", path}, {"read-only", read_only}, {"discard", "unmap"}}}}
      .text();
}

std::string port_name(unsigned number) { return "port" + std::to_string(number); }

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == ',' ? std::string(",,") : std::string(1, c);
  return out;
}

}  // namespace

std::string plugged_mark(unsigned session) { return "session" + std::to_string(session) + ".plugged"; }

std::string session_port(unsigned session) {
  const std::string port = port_name(session + 1);
  return json::Object{{"driver", "virtserialport"}, {"bus", "sessions.0"}, {"nr", static_cast<std::int64_t>(session) + 1}, {"chardev", port}, {"id", "session" + std::to_string(session)}, {"name", "kortex." + port}}
      .text();
}

std::string session_socket(unsigned session) { return "session" + std::to_string(session) + ".sock"; }

std::string default_machine() {
#if defined(__aarch64__)
  return "virt";
#else
  return "microvm";
#endif
}

Bus bus_of(const Machine& machine) { return machine.type == "microvm" ? Bus::mmio : Bus::pci; }

std::vector<std::string> qemu_command(const std::string& program, const Machine& machine) {
  const std::string device = bus_of(machine) == Bus::mmio ? "-device" : "-pci";
  const std::string megabytes = std::to_string(machine.memory_bytes >> 20);
  std::vector<std::string> command{program, "-name", escaped(machine.name), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                                   "-pidfile", "qemu.pid"};
  const auto add = [&command](std::initializer_list<std::string> more) { command.insert(command.end(), more); };
  if (machine.type == "microvm")
    add({"-machine", "microvm,acpi=on,rtc=on,pic=off,pit=off,auto-kernel-cmdline=off,memory-backend=memory", "-global", "virtio-mmio.force-legacy=off"});
  else if (machine.type == "q35")
    add({"-machine", "q35,memory-backend=memory,vmport=off,smbus=off,sata=off", "-global", "PIIX4_PM.disable_s3=1"});
  else
    add({"-machine", std::string("virt,memory-backend=memory,gic-version=") + (machine.emulated ? "3" : "host")});
  if (machine.emulated)
    // Not "fast" string instructions: they are emulated byte by byte, and a kernel that is told of them clears and copies
    // all its memory with them.
    add({"-accel", "tcg,thread=multi,tb-size=256", "-cpu", machine.type == "virt" ? "cortex-a72" : "max,-erms"});
  else
    add({"-accel", "kvm", "-cpu", "host"});
  add({"-smp", std::to_string(machine.cpus), "-m", megabytes + "M", "-object", "memory-backend-memfd,id=memory,share=on,size=" + megabytes + "M"});
  add({"-sandbox", "on,obsolete=deny,resourcecontrol=deny,elevateprivileges=deny,spawn=deny"});
  add({"-kernel", machine.kernel, "-initrd", "/proc/self/fd/" + std::to_string(initramfs_descriptor), "-append", kernel_arguments(machine)});
  add({"-add-fd", "set=1,fd=" + std::to_string(console_descriptor), "-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console"});
  add({"-chardev", "socket,id=qmp,fd=" + std::to_string(qmp_descriptor) + ",server=on,wait=off", "-mon", "chardev=qmp,mode=control"});
  if (machine.by_9p)
    add({"-fsdev", std::string("local,id=share,security_model=none,multidevs=remap,path=") + shared_tree, "-device", "virtio-9p" + device + ",fsdev=share,mount_tag=kortex"});
  else
    add({"-chardev", "socket,id=share,fd=" + std::to_string(share_descriptor), "-device", "vhost-user-fs" + device + ",chardev=share,tag=kortex,queue-size=1024"});
  add({"-device", "virtio-serial" + device + ",id=sessions,max_ports=" + std::to_string(machine.sessions + 2)});
  for (unsigned port = 1; port <= machine.sessions + 1; ++port)
    add({"-chardev", "socket,id=" + port_name(port) + ",fd=" + std::to_string(first_port_descriptor + static_cast<int>(port) - 1) + ",server=on,wait=off"});
  add({"-device", "virtserialport,bus=sessions.0,nr=1,chardev=" + port_name(1) + ",id=control,name=kortex.control"});
  if (machine.root.kind == Root::Kind::image)
    add({"-blockdev", block_node("root", machine.root.path, true), "-device", "virtio-blk" + device + ",drive=root,serial=root"});
  add({"-blockdev", block_node("disk", machine.disk, false), "-device", "virtio-blk" + device + ",drive=disk,serial=disk"});
  if (machine.network)
    add({"-netdev", "stream,id=net,addr.type=fd,addr.str=" + std::to_string(network_descriptor), "-device", "virtio-net" + device + ",netdev=net,romfile="});
  if (machine.network && bus_of(machine) == Bus::mmio) command.back() = "virtio-net-device,netdev=net";
  return command;
}

}  // namespace kortex::microvm
