// The folder in which the control plane keeps what must outlive it: the CA's
// key, the hashes of join tokens, and where it listens. Only its owner can
// read it (0700, files 0600), and files are replaced whole.
#ifndef REMORA_XDS_CONTROL_STATE_DIR_H_
#define REMORA_XDS_CONTROL_STATE_DIR_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace remora::control {

class StateDir {
 public:
  // Makes the folder if it is missing.
  static absl::StatusOr<StateDir> Open(absl::string_view path);

  // $STATE_DIRECTORY (systemd), $XDG_STATE_HOME/remora,
  // ~/.local/state/remora or ./remora-state, the first that can be told.
  static std::string DefaultPath();

  const std::string& path() const { return path_; }
  std::string PathOf(absl::string_view name) const;

  // NotFound if there is none.
  absl::StatusOr<std::string> Read(absl::string_view name) const;
  // `name` may have folders in front; they are made.
  absl::Status Write(absl::string_view name, absl::string_view text) const;

 private:
  explicit StateDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Writes by way of a new file beside it that takes its place, mode 0600.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view text);
// NotFound if there is none; other errors say why.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_STATE_DIR_H_
