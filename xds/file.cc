#include "xds/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace remora::xds {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const auto fail = [&] {
    return absl::NotFoundError(
        absl::StrCat("unable to read file: ", path, " (", strerror(errno), ")"));
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail();
  std::string bytes;
  char buffer[64 * 1024];
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      absl::Status status = fail();
      close(fd);
      return status;
    }
    if (got == 0) break;
    bytes.append(buffer, got);
  }
  close(fd);
  return bytes;
}

absl::Status CheckWritable(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644);
  if (fd >= 0) {
    close(fd);
  } else if (errno != ENXIO) {  // a pipe without a reader, a socket
    return absl::InvalidArgumentError(
        absl::StrCat("unable to open file '", path, "': ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace remora::xds
