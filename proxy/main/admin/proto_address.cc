#include "proxy/main/admin/proto_address.h"

#include "envoy/config/core/v3/address.pb.h"

namespace remora::proxy {

void SetProtoAddress(const Address& address, envoy::config::core::v3::Address* out) {
  if (address.kind() == Address::Kind::kPipe) {
    out->mutable_pipe()->set_path(address.ToString());
    return;
  }
  out->mutable_socket_address()->set_address(address.IpString());
  out->mutable_socket_address()->set_port_value(address.port());
}

}  // namespace remora::proxy
