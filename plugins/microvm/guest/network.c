#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/route.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

static void put_address(struct sockaddr *into, const char *text) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) die("no address: '%s'", text);
  memcpy(into, &address, sizeof address);
}

static void bring_up(int fd, const char *name) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) die_errno("find interface", name);
  request.ifr_flags |= IFF_UP;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) die_errno("bring up", name);
}

/* passt forwards to the guest what it has heard of: an announcement of who has the address, to nobody in particular. */
static void announce(const char *name, const char *address) {
  struct {
    uint16_t hardware, protocol;
    uint8_t hardware_size, protocol_size;
    uint16_t operation;
    uint8_t sender[6], sender_address[4], target[6], target_address[4];
  } arp = {htons(1), htons(ETH_P_IP), 6, 4, htons(1), {0}, {0}, {0}, {0}};
  const int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ARP));
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0) die_errno("announce", address);
  memcpy(arp.sender, request.ifr_hwaddr.sa_data, sizeof arp.sender);
  inet_pton(AF_INET, address, arp.sender_address);
  memcpy(arp.target_address, arp.sender_address, sizeof arp.target_address);
  struct sockaddr_ll everybody = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_halen = 6};
  memset(everybody.sll_addr, 0xff, 6);
  everybody.sll_ifindex = (int)if_nametoindex(name);
  const ssize_t sent = sendto(fd, &arp, sizeof arp, 0, (const struct sockaddr *)&everybody, sizeof everybody);
  (void)sent; /* without it only what the guest begins goes through */
  close(fd);
}

void network_up(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die_errno("open", "a network socket");
  bring_up(fd, "lo");
  const char *address = setting_or("address", NULL);
  if (address) {
    static const char name[] = "eth0";
    struct ifreq request = {0};
    memcpy(request.ifr_name, name, sizeof name);
    put_address(&request.ifr_addr, address);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0) die_errno("set the address of", name);
    put_address(&request.ifr_netmask, setting("netmask"));
    if (ioctl(fd, SIOCSIFNETMASK, &request) != 0) die_errno("set the netmask of", name);
    bring_up(fd, name);
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    put_address(&route.rt_gateway, setting("gateway"));
    put_address(&route.rt_dst, "0.0.0.0");
    put_address(&route.rt_genmask, "0.0.0.0");
    if (ioctl(fd, SIOCADDRT, &route) != 0) die_errno("route through", setting("gateway"));
    announce(name, address);
  }
  close(fd);
}
