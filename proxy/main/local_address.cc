#include "proxy/main/local_address.h"

#include <ifaddrs.h>
#include <netinet/in.h>

namespace remora::proxy {

Address LocalAddress(bool ipv6) {
  const int family = ipv6 ? AF_INET6 : AF_INET;
  Address found = *Address::FromIp(ipv6 ? "::1" : "127.0.0.1", 0);
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family) continue;
    const Address address =
        Address::FromSockaddr(entry->ifa_addr, ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    if (address.is_loopback()) continue;
    found = address;
    break;
  }
  freeifaddrs(list);
  return found;
}

}  // namespace remora::proxy
