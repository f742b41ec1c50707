"""The vocabulary of VoxEmo: types, cards, label sets, ids and errors. Imports no other voxemo package."""
