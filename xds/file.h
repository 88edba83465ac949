#ifndef REMORA_XDS_FILE_H_
#define REMORA_XDS_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace remora::xds {

// The whole of a file, read once from front to back: pipes and /dev/fd/N will
// do. Blocks.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Whether a log can be written there; the file is made if it is not there, so
// that a bad path is a bad configuration.
absl::Status CheckWritable(const std::string& path);

}  // namespace remora::xds

#endif  // REMORA_XDS_FILE_H_
