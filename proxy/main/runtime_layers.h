#ifndef REMORA_PROXY_MAIN_RUNTIME_LAYERS_H_
#define REMORA_PROXY_MAIN_RUNTIME_LAYERS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "filters/runtime.h"
#include "proxy/main/file_watch.h"
#include "xds/bootstrap.h"
#include "xds/snapshot.h"

namespace remora::proxy {

// The runtime layers as the bootstrap orders them: fixed ones, folders of files, those that come by
// RTDS, and the overrides of admin. Each change makes a new Runtime of all of them.
//
// Threads: main. Lifetime: the server's; `files` outlives it.
class RuntimeLayers {
 public:
  // `changed`: a folder was swapped; Load() gives something new.
  RuntimeLayers(std::shared_ptr<const xds::Bootstrap> bootstrap, FileWatcher* files,
                std::function<void()> changed);

  // What came by RTDS.
  void SetLate(std::shared_ptr<const xds::RuntimeLayers> late) { late_ = std::move(late); }
  // Overrides in the admin layer; an empty value takes one back. Fails without such a layer.
  absl::Status Override(const std::vector<std::pair<std::string, std::string>>& values);

  struct Loaded {
    std::shared_ptr<const Runtime> runtime;
    bool failed = false;      // a folder could not be read
    size_t folders = 0;       // that were there
    bool overridden = false;  // by admin
    std::vector<std::string> errors;
  };
  // Reads the folders anew.
  Loaded Load() const;

 private:
  bool AddFolder(const xds::RuntimeLayerSource& source, std::vector<Runtime::Layer>* layers,
                 Loaded* out) const;

  std::shared_ptr<const xds::Bootstrap> bootstrap_;
  std::vector<std::unique_ptr<FileWatcher::Watch>> watches_;
  std::shared_ptr<const xds::RuntimeLayers> late_;
  std::map<std::string, std::string> overrides_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_RUNTIME_LAYERS_H_
