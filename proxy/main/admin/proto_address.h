#ifndef REMORA_PROXY_MAIN_ADMIN_PROTO_ADDRESS_H_
#define REMORA_PROXY_MAIN_ADMIN_PROTO_ADDRESS_H_

#include "filters/api/address.h"

namespace envoy::config::core::v3 {
class Address;
}

namespace remora::proxy {

// An address as the API spells it.
void SetProtoAddress(const Address& address, envoy::config::core::v3::Address* out);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_PROTO_ADDRESS_H_
