#ifndef REMORA_PROXY_MAIN_LOCAL_ADDRESS_H_
#define REMORA_PROXY_MAIN_LOCAL_ADDRESS_H_

#include "filters/api/address.h"

namespace remora::proxy {

// An address of this machine that is not loopback, of the wanted family; loopback when there is
// none. Envoy puts it into x-forwarded-for for clients of its own machine.
Address LocalAddress(bool ipv6);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_LOCAL_ADDRESS_H_
