#ifndef REMORA_PROXY_NET_TLS_KEY_LOG_H_
#define REMORA_PROXY_NET_TLS_KEY_LOG_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace remora::proxy {

// A file of TLS secrets in the format that Wireshark reads (NSS key log), for looking into traffic
// while something is being found out. Each line is written at once, which is slow and meant to be.
//
// Threads: Write() may be called by any; lines stay whole.
class KeyLogFile {
 public:
  static absl::StatusOr<std::unique_ptr<KeyLogFile>> Open(const std::string& path);
  ~KeyLogFile();
  KeyLogFile(const KeyLogFile&) = delete;
  KeyLogFile& operator=(const KeyLogFile&) = delete;

  void Write(absl::string_view line) const;

 private:
  explicit KeyLogFile(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_KEY_LOG_H_
