#ifndef REMORA_PROXY_MAIN_FILE_WATCH_H_
#define REMORA_PROXY_MAIN_FILE_WATCH_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/base/loop.h"

struct uv_poll_s;

namespace remora::proxy {

// Notices that a file was replaced: by a move onto its name (as Envoy asks for), by a write that
// was closed, or by a swap of a symbolic link anywhere on its path (Kubernetes' `..data`). The
// folders of the path and of every link on it are watched by inotify; what is told is only "look
// again".
//
// Threads: the loop's. Lifetime: outlives its watches.
class FileWatcher {
 public:
  // Destroying it ends the watch; no call comes afterwards.
  class Watch {
   public:
    virtual ~Watch() = default;
  };

  explicit FileWatcher(Loop* loop);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // Calls `changed` (once for several events in one turn) when `path` may have other contents.
  // `directory`: watched besides the file's own folder, for any move in it; may be empty.
  std::unique_ptr<Watch> Add(const std::string& path, const std::string& directory,
                             std::function<void()> changed);

 private:
  class Entry;
  friend class Entry;
  void OnReadable();
  void Notify(int descriptor, const std::string& name);
  void Attach(Entry* entry);
  void Detach(Entry* entry);

  Loop* loop_;
  int inotify_ = -1;
  uv_poll_s* poll_ = nullptr;
  // inotify descriptor -> who looks at that folder.
  absl::flat_hash_map<int, std::vector<Entry*>> watched_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_FILE_WATCH_H_
