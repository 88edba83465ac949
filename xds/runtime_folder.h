#ifndef REMORA_XDS_RUNTIME_FOLDER_H_
#define REMORA_XDS_RUNTIME_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "filters/runtime.h"

namespace remora::xds {

// The runtime values below a folder: each file is a key, named by the folders that lead to it and
// joined by dots; its text, without lines that begin with '#', is the value. Blocks on the files.
absl::StatusOr<Runtime::Layer> ReadRuntimeFolder(const std::string& name, const std::string& path);

}  // namespace remora::xds

#endif  // REMORA_XDS_RUNTIME_FOLDER_H_
