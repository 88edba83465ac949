// The source that reads a YAML file, or all *.yaml and *.yml of a folder, and
// watches them: writes in place, files moved over them, folders swapped by
// rename or by symbolic link (as Kubernetes mounts do), and files that come
// and go. A fault is logged with file and line, and the last good state stays.
#ifndef REMORA_XDS_CONTROL_FILE_SOURCE_H_
#define REMORA_XDS_CONTROL_FILE_SOURCE_H_

#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/control/services_yaml.h"
#include "xds/control/source.h"

namespace remora::control {

class FileSource : public Source {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}
  ~FileSource() override;

  absl::Status Start(Sink sink) override;

 private:
  absl::StatusOr<std::vector<NamedText>> ReadTexts() const;
  // Reads, and if the text differs from the last one tells the sink or the log.
  absl::Status Reload();
  // Places an inotify watch on every folder that a lookup of path_ goes
  // through, symbolic links included.
  void Watch();
  void Run();

  const std::string path_;
  Sink sink_;
  std::string last_;  // all texts as last read, good or not
  int inotify_ = -1;
  int stop_ = -1;  // eventfd
  std::thread thread_;
};

// Every folder whose change can alter what `path` leads to.
std::vector<std::string> FoldersOnTheWay(const std::string& path);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_FILE_SOURCE_H_
