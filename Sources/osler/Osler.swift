@main struct Osler { static func main() {} }
