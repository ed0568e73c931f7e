"""Where does the loss of the paper lead?"""
