#include "proxy/main/file_watch.h"

#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/timer.h"

namespace remora::proxy {
namespace {

constexpr uint32_t kEvents =
    IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr int kMostLinks = 16;

// A folder and a name in it whose change may change what the path leads to. An empty name: any.
using Place = std::pair<std::string, std::string>;

std::string Folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Adds every (folder, name) on the way to `path`, following symbolic links.
void CollectPlaces(const std::string& path, int links_left, std::set<Place>* places) {
  std::string so_far = path.empty() || path[0] != '/' ? "." : "";
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const std::string folder = so_far.empty() ? "/" : so_far;
    so_far = absl::StrCat(so_far, "/", part);
    char target[PATH_MAX];
    const ssize_t size = readlink(so_far.c_str(), target, sizeof(target));
    if (size <= 0) continue;
    places->emplace(folder, std::string(part));
    if (links_left == 0) continue;
    const std::string to(target, size);
    CollectPlaces(to[0] == '/' ? to : absl::StrCat(folder, "/", to), links_left - 1, places);
  }
  const size_t slash = path.rfind('/');
  places->emplace(Folder(path), slash == std::string::npos ? path : path.substr(slash + 1));
}

}  // namespace

class FileWatcher::Entry final : public FileWatcher::Watch {
 public:
  Entry(FileWatcher* watcher, std::string path, std::string directory,
        std::function<void()> changed)
      : watcher_(watcher),
        path_(std::move(path)),
        directory_(std::move(directory)),
        changed_(std::move(changed)),
        timer_(
            &watcher->loop_->timers(), [](void* self) { static_cast<Entry*>(self)->Fire(); },
            this) {
    watcher_->Attach(this);
  }
  ~Entry() override { watcher_->Detach(this); }

  std::set<Place> Places() const {
    std::set<Place> places;
    CollectPlaces(path_, kMostLinks, &places);
    if (!directory_.empty()) places.emplace(directory_, "");
    return places;
  }

  void OnEvent(int descriptor, const std::string& name) {
    const auto [begin, end] = std::pair(interests_.begin(), interests_.end());
    const bool concerns = std::any_of(begin, end, [&](const auto& interest) {
      return interest.first == descriptor && (interest.second.empty() || interest.second == name);
    });
    if (concerns) timer_.Start(0);
  }

  std::vector<std::pair<int, std::string>> interests_;

 private:
  // The links may lead elsewhere now, so the places are taken anew before the owner looks.
  void Fire() {
    watcher_->Detach(this);
    watcher_->Attach(this);
    const std::function<void()> changed = changed_;
    changed();
  }

  FileWatcher* watcher_;
  std::string path_;
  std::string directory_;
  std::function<void()> changed_;
  Timer timer_;
};

FileWatcher::FileWatcher(Loop* loop) : loop_(loop) {
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify_ < 0) return;
  poll_ = new uv_poll_t;
  poll_->data = this;
  uv_poll_init(loop->uv(), poll_, inotify_);
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<FileWatcher*>(poll->data)->OnReadable();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(poll_));
}

FileWatcher::~FileWatcher() {
  if (poll_ != nullptr) {
    uv_close(reinterpret_cast<uv_handle_t*>(poll_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  }
  if (inotify_ >= 0) close(inotify_);
}

std::unique_ptr<FileWatcher::Watch> FileWatcher::Add(const std::string& path,
                                                     const std::string& directory,
                                                     std::function<void()> changed) {
  return std::make_unique<Entry>(this, path, directory, std::move(changed));
}

void FileWatcher::Attach(Entry* entry) {
  for (const auto& [folder, name] : entry->Places()) {
    const int descriptor = inotify_add_watch(inotify_, folder.c_str(), kEvents);
    if (descriptor < 0) continue;
    std::vector<Entry*>& entries = watched_[descriptor];
    if (std::find(entries.begin(), entries.end(), entry) == entries.end()) entries.push_back(entry);
    entry->interests_.emplace_back(descriptor, name);
  }
}

void FileWatcher::Detach(Entry* entry) {
  for (const auto& [descriptor, name] : entry->interests_) {
    const auto found = watched_.find(descriptor);
    if (found == watched_.end()) continue;
    std::vector<Entry*>& entries = found->second;
    entries.erase(std::remove(entries.begin(), entries.end(), entry), entries.end());
    if (!entries.empty()) continue;
    inotify_rm_watch(inotify_, descriptor);
    watched_.erase(found);
  }
  entry->interests_.clear();
}

void FileWatcher::Notify(int descriptor, const std::string& name) {
  const auto found = watched_.find(descriptor);
  if (found == watched_.end()) return;
  for (Entry* entry : found->second) entry->OnEvent(descriptor, name);
}

void FileWatcher::OnReadable() {
  alignas(inotify_event) char buffer[16384];
  for (;;) {
    const ssize_t size = read(inotify_, buffer, sizeof(buffer));
    if (size <= 0) return;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      Notify(event->wd, event->len > 0 ? std::string(event->name) : std::string());
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

}  // namespace remora::proxy
