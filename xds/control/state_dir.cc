#include "xds/control/state_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace remora::control {
namespace {

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (error) {
    return absl::InternalError(absl::StrCat("cannot make ", path, ": ", error.message()));
  }
  if (made) chmod(path.c_str(), 0700);
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "write");
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd) != 0) return absl::ErrnoToStatus(errno, "fsync");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StateDir> StateDir::Open(absl::string_view path) {
  StateDir dir{std::string(path)};
  absl::Status made = MakeFolder(dir.path_);
  if (!made.ok()) return made;
  return dir;
}

std::string StateDir::DefaultPath() {
  if (const char* systemd = getenv("STATE_DIRECTORY")) return systemd;
  if (const char* xdg = getenv("XDG_STATE_HOME")) {
    return absl::StrCat(xdg, "/remora");
  }
  if (const char* home = getenv("HOME")) {
    return absl::StrCat(home, "/.local/state/remora");
  }
  return "remora-state";
}

std::string StateDir::PathOf(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

absl::StatusOr<std::string> StateDir::Read(absl::string_view name) const {
  return ReadWholeFile(PathOf(name));
}

absl::Status StateDir::Write(absl::string_view name, absl::string_view text) const {
  const std::string path = PathOf(name);
  absl::Status made = MakeFolder(std::filesystem::path(path).parent_path().string());
  if (!made.ok()) return made;
  return WriteFileAtomically(path, text);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view text) {
  const std::string beside = absl::StrCat(path, ".new.", getpid());
  unlink(beside.c_str());
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  absl::Status written = WriteAll(fd, text);
  close(fd);
  if (written.ok() && rename(beside.c_str(), path.c_str()) != 0) {
    written = absl::ErrnoToStatus(errno, "rename");
  }
  if (!written.ok()) {
    unlink(beside.c_str());
    return absl::Status(written.code(),
                        absl::StrCat("cannot write ", path, ": ", written.message()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  const absl::Cleanup closer = [fd] { close(fd); };
  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    }
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace remora::control
