// Pinned memory through which copies from ordinary memory go to the device, so that the host need not wait for what the
// device does before them: a piece is written while the one before it is under way.
#pragma once
#include <cstddef>
#include <cstring>
#include <mutex>

namespace lamina {

// Api: allocate(bytes, &block) of pinned memory, make(&event), record(event) and send(to, from, bytes) on the stream,
// wait(event) of the host; each returns a status, 0 if all is well.
template <class Api>
class Staging {
 public:
  // When it returns, `from` may be written again.
  int send(void* to, const void* from, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!pieces_[kPieces - 1].memory)
      for (Piece& p : pieces_)
        if (const int status = prepare(p)) return status;
    for (std::size_t sent = 0; sent < bytes;) {
      Piece& p = pieces_[next_];
      const std::size_t part = bytes - sent < kPiece ? bytes - sent : kPiece;
      if (const int status = Api::wait(p.sent)) return status;  // what was in it has arrived
      std::memcpy(p.memory, static_cast<const char*>(from) + sent, part);
      if (const int status = Api::send(static_cast<char*>(to) + sent, p.memory, part)) return status;
      if (const int status = Api::record(p.sent)) return status;
      sent += part;
      next_ = (next_ + 1) % kPieces;
    }
    return 0;
  }

 private:
  static constexpr std::size_t kPiece = std::size_t{4} << 20;
  static constexpr int kPieces = 4;
  struct Piece {
    void *memory = nullptr, *sent = nullptr;  // sent: an event; one that was never recorded has passed
  };
  static int prepare(Piece& p) {
    if (!p.sent)
      if (const int status = Api::make(&p.sent)) return status;
    return p.memory ? 0 : Api::allocate(kPiece, &p.memory);
  }

  std::mutex mutex_;
  Piece pieces_[kPieces];
  int next_ = 0;
};

}  // namespace lamina
