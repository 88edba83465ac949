#ifndef REMORA_PROXY_NET_TLS_INSPECTOR_H_
#define REMORA_PROXY_NET_TLS_INSPECTOR_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace remora::proxy {

// What a ClientHello (RFC 8446, 4.1.2) asks for.
struct ClientHello {
  std::string server_name;  // lower-case; "" without one
  std::vector<std::string> alpn;
};

enum class HelloResult {
  kNeedMore,
  kTls,       // `hello` is filled
  kNotTls,    // anything else, and what breaks TLS's rules
  kTooLarge,  // longer than allowed, or in absurdly many records
};

// Reads the ClientHello that `bytes` begin with, in however many records it comes. Neither consumes
// nor keeps the bytes. `most`: the longest hello that is looked at.
HelloResult ParseClientHello(absl::string_view bytes, size_t most, ClientHello* hello);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_INSPECTOR_H_
