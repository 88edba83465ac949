#include "proxy/net/tls_key_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace remora::proxy {

absl::StatusOr<std::unique_ptr<KeyLogFile>> KeyLogFile::Open(const std::string& path) {
  // Secrets are for the owner alone.
  constexpr mode_t kOwnerOnly = 0600;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kOwnerOnly);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("unable to open file '", path, "': ", strerror(errno)));
  }
  return std::unique_ptr<KeyLogFile>(new KeyLogFile(fd));
}

KeyLogFile::~KeyLogFile() { close(fd_); }

void KeyLogFile::Write(absl::string_view line) const {
  const std::string whole = absl::StrCat(line, "\n");
  // A line that cannot be written is lost: nothing of the traffic depends on it.
  const ssize_t written = write(fd_, whole.data(), whole.size());
  static_cast<void>(written);
}

}  // namespace remora::proxy
