#ifndef REMORA_PROXY_MAIN_VERSION_H_
#define REMORA_PROXY_MAIN_VERSION_H_

namespace remora::proxy {

// What we call ourselves, and the Envoy whose configuration and behaviour we speak. Control planes
// read the latter (Consul takes the first d.d.d that `--version` prints).
inline constexpr char kRemoraVersion[] = "0.1.0";
inline constexpr char kEnvoyVersion[] = "1.40.0";

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_VERSION_H_
