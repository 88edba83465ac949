#include "xds/control/file_source.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "xds/control/state_dir.h"

namespace remora::control {
namespace {

namespace fs = std::filesystem;

// Editors and deployments touch a file several times in a row.
constexpr int kSettleMs = 30;
// For file systems that do not tell (network mounts, some overlays).
constexpr int kLookAgainMs = 3000;
constexpr int kMaxLinks = 40;  // as the kernel's own limit

}  // namespace

std::vector<std::string> FoldersOnTheWay(const std::string& path) {
  std::set<std::string> folders;
  std::error_code error;
  std::deque<fs::path> rest;
  const fs::path absolute = fs::absolute(path, error);
  for (const fs::path& part : absolute.relative_path()) rest.push_back(part);
  fs::path here = "/";
  for (int links = 0; !rest.empty();) {
    const fs::path part = rest.front();
    rest.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      here = here.parent_path();
      continue;
    }
    folders.insert(here.string());
    const fs::path next = here / part;
    if (!fs::is_symlink(next, error)) {
      here = next;
      continue;
    }
    if (++links > kMaxLinks) break;
    const fs::path target = fs::read_symlink(next, error);
    std::deque<fs::path> parts;
    for (const fs::path& p : target.relative_path()) parts.push_back(p);
    rest.insert(rest.begin(), parts.begin(), parts.end());
    if (target.is_absolute()) here = "/";
  }
  if (fs::is_directory(here, error)) folders.insert(here.string());
  return {folders.begin(), folders.end()};
}

FileSource::~FileSource() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(stop_, &one, sizeof(one));
    thread_.join();
  }
  if (stop_ >= 0) close(stop_);
  if (inotify_ >= 0) close(inotify_);
}

absl::Status FileSource::Start(Sink sink) {
  sink_ = std::move(sink);
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  stop_ = eventfd(0, EFD_CLOEXEC);
  if (inotify_ < 0 || stop_ < 0) return absl::ErrnoToStatus(errno, "inotify");
  Watch();  // before reading, so that no change falls between
  absl::Status loaded = Reload();
  if (!loaded.ok()) return loaded;
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NamedText>> FileSource::ReadTexts() const {
  std::vector<std::string> paths;
  std::error_code error;
  if (fs::is_directory(path_, error)) {
    for (fs::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
      const std::string extension = it->path().extension().string();
      if ((extension == ".yaml" || extension == ".yml") &&
          it->path().filename().string().front() != '.' && !it->is_directory(error)) {
        paths.push_back(it->path().string());
      }
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) {
      return absl::NotFoundError(absl::StrCat("no *.yaml in the folder ", path_));
    }
  } else {
    paths.push_back(path_);
  }
  std::vector<NamedText> texts;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> text = ReadWholeFile(path);
    if (!text.ok()) return text.status();
    texts.push_back({path, *std::move(text)});
  }
  return texts;
}

absl::Status FileSource::Reload() {
  absl::StatusOr<std::vector<NamedText>> texts = ReadTexts();
  std::string all = texts.ok() ? "" : std::string(texts.status().message());
  if (texts.ok()) {
    for (const NamedText& text : *texts) {
      absl::StrAppend(&all, text.name, absl::string_view("\0", 1), text.text,
                      absl::string_view("\0", 1));
    }
  }
  if (all == last_) return absl::OkStatus();
  last_ = std::move(all);
  if (!texts.ok()) return texts.status();
  absl::StatusOr<ParsedServices> parsed = ParseServices(*texts);
  if (!parsed.ok()) return parsed.status();
  for (const std::string& warning : parsed->warnings) {
    spdlog::warn("{}", warning);
  }
  spdlog::info("{}: {} services, {} gateways", path_, parsed->services.services.size(),
               parsed->services.gateways.size());
  sink_(std::move(parsed->services));
  return absl::OkStatus();
}

void FileSource::Watch() {
  for (const std::string& folder : FoldersOnTheWay(path_)) {
    // Watching a folder again only renews its watch. A folder that cannot be
    // watched (not readable) is covered by looking again.
    inotify_add_watch(inotify_, folder.c_str(),
                      IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                          IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
  }
}

void FileSource::Run() {
  pollfd watched[2] = {{stop_, POLLIN, 0}, {inotify_, POLLIN, 0}};
  while (true) {
    const int ready = poll(watched, 2, kLookAgainMs);
    if (ready < 0 && errno != EINTR) return;
    if (watched[0].revents != 0) return;
    if (watched[1].revents != 0) {
      if (poll(watched, 1, kSettleMs) > 0) return;
      alignas(inotify_event) char events[16384];
      while (read(inotify_, events, sizeof(events)) > 0) {
      }
    }
    Watch();
    const absl::Status loaded = Reload();
    if (loaded.ok()) continue;
    for (absl::string_view line : absl::StrSplit(loaded.message(), '\n')) {
      spdlog::error("{}", std::string(line));
    }
    spdlog::error("{}: not taken, the last good state stays in force", path_);
  }
}

}  // namespace remora::control
