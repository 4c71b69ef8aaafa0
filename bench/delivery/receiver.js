// Receivers that nginx cannot play, on ports of their own: one answers after
// 50 ms, one takes the request and never answers. Prints their URLs.
const http = require('http')

function listen(handler) {
  return new Promise(resolve => {
    const server = http.createServer(handler)
    server.keepAliveTimeout = 0
    server.requestTimeout = 0
    server.listen(0, '127.0.0.1', 1024, () => resolve(`http://127.0.0.1:${server.address().port}`))
  })
}

async function main() {
  const slow = await listen((request, response) => {
    request.resume()
    request.on('end', () => setTimeout(() => response.end('ok'), 50))
  })
  const dead = await listen(request => request.resume())
  console.log(`${slow} ${dead}`)
}
main()
